"""Whether the way of a frame runs compiled (see setup.py) or as its source."""

from __future__ import annotations

from typing import Final

from app.wire import framing

COMPILED: Final = not framing.__file__.endswith((".py", ".pyc"))
