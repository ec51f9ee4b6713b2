"""Frames that a browser has not acknowledged yet, kept to be replayed after a lost socket.

Frames are numbered from 1 in the order in which they were sent; those of the gateway's own
`relay.*` kind have no number. A frame is held until the browser confirms it.
"""

from __future__ import annotations

from typing import Final

_NOTHING_HELD: Final = -1
# So many that were let go are cut off at once: a list loses its beginning at a price.
_MANY: Final = 64


class ReplayBuffer:
    """The unconfirmed tail of the frames that were sent to one browser.

    `count` is the number of the newest frame, `acked` of the newest that is confirmed, `size`
    the bytes that are held, `sent` the bytes that ever were. Without `limit` (bytes) nothing is
    held at all.
    """

    __slots__ = ("_first", "_frames", "_limit", "acked", "count", "is_full", "sent", "size")

    def __init__(self, limit: int | None) -> None:
        self._frames: list[bytes] = []  # those before `_first` were let go, and are empty
        self._first = 0
        self._limit = _NOTHING_HELD if limit is None else limit
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
        if self._limit >= 0:
            self._frames.append(payload)
            self.size += size
            if self.size >= self._limit:
                self.is_full = True

    def evict(self) -> None:
        """Let the oldest go past the limit: a browser that is here but confirms nothing.

        It can no longer resume from before them, and is told so if it tries.
        """
        if self._limit >= 0:
            while self.size > self._limit:
                self._drop()
            self._cut()

    def release(self) -> None:
        """Hold nothing any more: this browser is not expected back."""
        self._frames.clear()
        self._first = 0
        self._limit = _NOTHING_HELD
        self.size = 0
        self.is_full = False

    def ack(self, count: int) -> bool:
        """Let go of everything up to frame `count`; False if no such frame was sent."""
        if not 0 <= count <= self.count:
            return False
        acked = count  # compiled, no object any more
        if acked > self.acked:
            self.acked = acked
            held = len(self._frames) - self._first
            for _ in range(held - (self.count - acked)):
                self._drop()
            self._cut()
        return True

    def after(self, received: int) -> list[bytes] | None:
        """The frames after number `received`, or None when they are not all held any more."""
        missing = self.count - received
        held = len(self._frames) - self._first
        if missing < 0 or received < 0 or missing > held:
            return None
        return self._frames[len(self._frames) - missing :]

    def _drop(self) -> None:
        """Let the oldest frame go."""
        self.size -= len(self._frames[self._first])
        self._frames[self._first] = b""
        self._first += 1

    def _cut(self) -> None:
        """Cut off what was let go, if that is all or much; tell whether there is room again."""
        if self._first == len(self._frames) or (
            self._first >= _MANY and self._first * 2 >= len(self._frames)
        ):
            del self._frames[: self._first]
            self._first = 0
        self.is_full = 0 <= self._limit <= self.size
