"""The gateway's own events that a page must not miss, kept beside its numbered frames.

Frames named `relay.*` are not counted, so a page cannot confirm them by its count. Each is kept
with the number of the frame that it followed: a page that resumes gets those that came after the
last frame it has. It may have had some of them, and knows them by their own `number`.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_KEPT: Final = 256 * 1024
"""Bytes of events that are kept for one page."""


class KeptEvents:
    """Events for one page, in their order, up to `MAX_KEPT` bytes."""

    __slots__ = ("_events", "size")

    def __init__(self) -> None:
        self._events: deque[tuple[int, bytes]] = deque()
        self.size = 0

    def append(self, position: int, payload: bytes) -> None:
        """Keep an event that follows frame number `position`; the oldest give way."""
        self._events.append((position, payload))
        self.size += len(payload)
        while self.size > MAX_KEPT and len(self._events) > 1:
            self._drop()

    def acknowledge(self, count: int) -> None:
        """Let go of what came before frame number `count`, which the page has."""
        while self._events and self._events[0][0] < count:
            self._drop()

    def merged(self, received: int, missed: list[bytes]) -> list[bytes]:
        """What a page gets that has `received` frames: `missed`, with the events in between."""
        merged: list[bytes] = []
        waiting = deque(event for event in self._events if event[0] >= received)
        for number, payload in enumerate(missed, received):
            while waiting and waiting[0][0] <= number:
                merged.append(waiting.popleft()[1])
            merged.append(payload)
        merged.extend(payload for _, payload in waiting)
        return merged

    def _drop(self) -> None:
        _, payload = self._events.popleft()
        self.size -= len(payload)
