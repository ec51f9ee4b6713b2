"""Frames that a browser has not acknowledged yet, kept to be replayed after a lost socket.

Frames are numbered from 1 in the order in which they were sent; those of the gateway's own
`relay.*` kind have no number. A frame is held until the browser confirms it.
"""

from __future__ import annotations

from collections import deque


class ReplayBuffer:
    """The unconfirmed tail of the frames that were sent to one browser.

    `count` is the number of the newest frame, `confirmed` of the newest that is confirmed, `size`
    the bytes that are held, `sent` the bytes that ever were. Without `limit` (bytes) nothing is
    held at all.
    """

    __slots__ = ("_frames", "_limit", "acked", "count", "is_full", "sent", "size")

    def __init__(self, limit: int | None) -> None:
        self._frames: deque[bytes] = deque()
        self._limit = limit
        self.count = 0
        self.acked = 0
        self.size = 0
        self.sent = 0
        self.is_full = False  # whether what is held has reached the limit

    def append(self, payload: bytes) -> None:
        """Number a frame, and hold it."""
        size = len(payload)
        self.count += 1
        self.sent += size
        if self._limit is not None:
            self._frames.append(payload)
            self.size += size
            if self.size >= self._limit:
                self.is_full = True

    def evict(self) -> None:
        """Let the oldest go past the limit: a browser that is here but confirms nothing.

        It can no longer resume from before them, and is told so if it tries.
        """
        if self._limit is not None:
            while self.size > self._limit:
                self.size -= len(self._frames.popleft())
            self.is_full = self.size >= self._limit

    def release(self) -> None:
        """Hold nothing any more: this browser is not expected back."""
        self._frames.clear()
        self._limit = None
        self.size = 0
        self.is_full = False

    def ack(self, count: int) -> bool:
        """Let go of everything up to frame `count`; False if no such frame was sent."""
        if not 0 <= count <= self.count:
            return False
        if count > self.acked:
            self.acked = count
            while self._frames and self.count - len(self._frames) < count:
                self.size -= len(self._frames.popleft())
            self.is_full = self._limit is not None and self.size >= self._limit
        return True

    def after(self, received: int) -> list[bytes] | None:
        """The frames after number `received`, or None when they are not all held any more."""
        missing = self.count - received
        if missing < 0 or received < 0 or missing > len(self._frames):
            return None
        skip = len(self._frames) - missing
        return [payload for at, payload in enumerate(self._frames) if at >= skip]
