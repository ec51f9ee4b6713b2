"""When a process that has ended is started again: at once, then ever later."""

from __future__ import annotations

from typing import ClassVar


class Restarts:
    """Times are seconds of any one clock that only grows."""

    FIRST: ClassVar[float] = 0.1
    LONGEST: ClassVar[float] = 30.0
    SOUND: ClassVar[float] = 60.0
    """Who has run that long is as good as new."""

    def __init__(self) -> None:
        self.count = 0
        self._started = 0.0
        self._due = 0.0

    def started(self, now: float) -> None:
        """Take note of a start."""
        self._started = now

    def ended(self, now: float) -> float:
        """Take note of an end; return in how many seconds it is started again."""
        if now - self._started >= self.SOUND:
            self.count = 0
        delay: float = min(self.LONGEST, self.FIRST * 3.0**self.count)
        self.count += 1
        self._due = now + delay
        return delay

    def due(self, now: float) -> bool:
        """Whether it is time to start it again."""
        return now >= self._due
