"""Whether the way of a frame runs compiled (see setup.py) or as its source."""

from __future__ import annotations

from typing import Final

from app.websocket import frame_parser

COMPILED: Final = not frame_parser.__file__.endswith((".py", ".pyc"))
