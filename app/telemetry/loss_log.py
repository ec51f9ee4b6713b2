"""One log line for what is lost again and again, instead of one for each item.

The first loss is logged at once; what is lost within `every` seconds after a line is counted, and
told by one line at the end of that time. No loss is left untold, and a flood writes no flood.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT_EVERY: Final = 10.0
"""Seconds between two lines of one kind, at the least."""


class LossLog:
    """Counts what is lost, and logs `event` with how many as `unit`, and the total so far.

    The facts of a line are those of the latest loss. `clock` is monotonic, in seconds. Outside an
    event loop what is counted waits for the next loss or for `flush`.
    """

    def __init__(
        self,
        logger: Any,
        event: str,
        unit: str,
        *,
        level: int = logging.ERROR,
        every: float = REPORT_EVERY,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._logger = logger
        self._event = event
        self._unit = unit
        self._level = level
        self._every = every
        self._clock = clock
        self._logged_at = float("-inf")
        self._untold = 0
        self._total = 0
        self._facts: dict[str, Any] = {}
        self._timer: asyncio.TimerHandle | None = None

    def lost(self, count: int = 1, **facts: Any) -> None:
        """Note that so many items are lost, and why."""
        self._untold += count
        self._total += count
        self._facts = facts
        left = self._logged_at + self._every - self._clock()
        if left <= 0:
            self.flush()
        elif self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._timer = loop.call_later(left, self.flush)

    def flush(self) -> None:
        """Log what has not been told, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._untold:
            return
        told = {self._unit: self._untold, "total": self._total} | self._facts
        self._untold = 0
        self._logged_at = self._clock()
        self._logger.log(self._level, self._event, **told)
