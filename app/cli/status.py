"""What every command shares: its exit statuses, and the file that configuration is read from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DOTENV: Final = Path(".env")
FINE, FAILED, MISCONFIGURED = 0, 1, 2
