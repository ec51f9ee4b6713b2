"""Work in slices, on the event loop or beside it: between two, everything else has its turn."""

from __future__ import annotations

import asyncio
from time import perf_counter, sleep, thread_time
from typing import Final

SLICE: Final = 0.0005
"""Seconds of work at a time, unless a caller says otherwise."""

SHARE: Final = 0.1
"""Which part of what others used of an iteration a slice may take, unless a caller says so."""

LONGEST: Final = 0.01
"""Seconds that a slice never exceeds, however long an iteration took."""


class TimeSlice:
    """Tells when work has held the loop for `limit` seconds.

    A loop that is busy with other things turns seldom, and work that took `limit` seconds of each
    iteration would never end there. So after a long iteration, a slice may take a share of the CPU
    time that others used in it, which lengthens it little.

    A loop over items asks `is_over` after each of them, and awaits `rest` when it is. What is
    between two questions is not divided: the limit is exceeded by one item at the most.

    `own` and `others` are CPU seconds of this thread: what the slices before the last rest took
    together, and what everything else took in that rest.
    """

    __slots__ = ("_began", "_limit", "_until", "others", "own")

    def __init__(self, limit: float = SLICE) -> None:
        self.own = 0.0
        self.others = 0.0
        self._began = thread_time()
        self._limit = limit
        self._until = perf_counter() + limit

    def is_over(self) -> bool:
        """Tell whether the loop has been held long enough."""
        return perf_counter() > self._until

    async def rest(self, seconds: float = 0.0, share: float = SHARE) -> None:
        """Leave the loop to others for that long, one iteration at the least; then begin anew."""
        began = thread_time()
        self.own += began - self._began
        await asyncio.sleep(seconds)
        self._began = thread_time()
        self.others = self._began - began
        self._until = perf_counter() + max(self._limit, min(share * self.others, LONGEST))


THREAD_REST: Final = 0.00005
"""Seconds that a thread sleeps between two slices: any sleep gives up the core and the lock."""


class ThreadRests:
    """Rests of a thread that works beside the event loop's.

    Where both share one core, the scheduler lets a thread run for some milliseconds before another
    one that has become ready gets it; so does the interpreter with its lock. A thread that sleeps
    now and then makes the event loop wait for `limit` seconds of its work at the most, and for what
    is done between two questions. `taken` counts the rests.
    """

    __slots__ = ("_limit", "_since", "taken")

    def __init__(self, limit: float = SLICE) -> None:
        self.taken = 0
        self._limit = limit
        self._since = thread_time()

    def take(self) -> None:
        """Rest, if this thread has used the limit of CPU time since it last did."""
        if thread_time() - self._since >= self._limit:
            self.taken += 1
            sleep(THREAD_REST)
            self._since = thread_time()
