"""What every command shares: its exit statuses, and the file that configuration is read from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.protocol.errors import ConfigurationError

DOTENV: Final = Path(".env")
FINE, FAILED, MISCONFIGURED = 0, 1, 2


def misconfigured(error: ConfigurationError) -> int:
    """Tell every fault, a line each; return the exit status."""
    for fault in error.faults:
        print(f"error: {fault}", file=sys.stderr, flush=True)
    return MISCONFIGURED
