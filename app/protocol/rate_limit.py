"""Bounds on what one browser may send, as values of time that arrive as arguments."""

from __future__ import annotations


class TokenBucket:
    """Lets `burst` frames through at once and `rate` a second from then on (GCRA).

    One float of state: the theoretical arrival time of the next frame that conforms.
    """

    __slots__ = ("_due", "_interval", "_tolerance")

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1.0 / rate
        # Half an interval more than GCRA says: at today's Unix seconds a float has 0.2 µs left.
        self._tolerance = (burst - 0.5) * self._interval
        self._due = 0.0

    def allows(self, now: float) -> bool:
        """Take one frame at `now` (seconds, any epoch); False when it comes too early."""
        due = max(now, self._due)
        if due - now > self._tolerance:
            return False
        self._due = due + self._interval
        return True
