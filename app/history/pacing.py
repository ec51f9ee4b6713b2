"""Work on the event loop in slices: between two of them, everything else has its turn."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Final

SLICE: Final = 0.0005
"""Seconds of work at a time, unless a caller says otherwise."""


class TimeSlice:
    """Tells when work has held the loop for `limit` seconds.

    A loop over items asks `is_over` after each of them, and awaits `rest` when it is. What is
    between two questions is not divided: the limit is exceeded by one item at the most.
    """

    __slots__ = ("_limit", "_until")

    def __init__(self, limit: float = SLICE) -> None:
        self._limit = limit
        self._until = perf_counter() + limit

    def is_over(self) -> bool:
        """Tell whether the loop has been held long enough."""
        return perf_counter() > self._until

    async def rest(self, seconds: float = 0.0) -> None:
        """Leave the loop to others for that long, one iteration at the least; then begin anew."""
        await asyncio.sleep(seconds)
        self._until = perf_counter() + self._limit
