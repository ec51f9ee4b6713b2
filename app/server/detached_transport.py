"""Stand-in for a transport that was handed over or lost: ignores every call."""

from __future__ import annotations

import asyncio


class DetachedTransport(asyncio.Transport):
    """The transport that is left to ASGI's cycle, or that has been lost: nothing comes of it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Drop it."""

    def close(self) -> None:
        """Do nothing: the connection was handed over."""

    def abort(self) -> None:
        """Do nothing: the connection was handed over."""

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
