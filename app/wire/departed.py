"""A transport that is nobody's any more."""

from __future__ import annotations

import asyncio


class Departed(asyncio.Transport):
    """The transport that is left to ASGI's cycle, or that has been lost: nothing comes of it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Drop it."""

    def close(self) -> None:
        """Leave the connection to the lane."""

    def abort(self) -> None:
        """Leave the connection to the lane."""

    def is_closing(self) -> bool:
        """Say so."""
        return True

    def pause_reading(self) -> None:
        """Do nothing."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing."""

    def get_write_buffer_size(self) -> int:
        """Count nothing."""
        return 0
