"""What is said before upstream is ready: kept in order, within bounds."""

from __future__ import annotations

from typing import Final

MAX_EARLY_FRAMES: Final = 64
MAX_EARLY_BYTES: Final = 1 << 20


class EarlyFrames:
    """Frames for upstream that wait for its `initialize`: `MAX_EARLY_FRAMES`, `MAX_EARLY_BYTES`."""

    __slots__ = ("_frames", "_size")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size = 0

    def add(self, payload: bytes) -> bool:
        """Keep a frame; False, and nothing is kept of it, where it would pass a bound."""
        size = self._size + len(payload)
        if len(self._frames) >= MAX_EARLY_FRAMES or size > MAX_EARLY_BYTES:
            return False
        self._frames.append(payload)
        self._size = size
        return True

    def take(self) -> list[bytes]:
        """Return what was kept, in order, and keep it no more."""
        frames, self._frames, self._size = self._frames, [], 0
        return frames
