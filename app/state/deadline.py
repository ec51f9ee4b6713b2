"""How long a call waits for the store: by the store's silence, not by this process's own delays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

TICKS: Final = 20
MAX_BUSY: Final = 8
# A tick that comes late counts for this many at most: a turn of the loop lies in between.
LATE: Final = 2


class Deadline:
    """Raises `TimeoutError` out of its block once the store has been silent for `seconds`.

    They are counted in ticks, each a turn of the event loop or more after the last, and what a tick
    is late counts but little: while the loop is late, it is unknown whether the store has answered.
    (uvloop runs the timers that are due before it reads from sockets, so a plain time-out fires
    although the answer is there.) `answers` counts what the store has answered on any connection:
    as long as that grows, the store lives and is busy, and the block may take `MAX_BUSY` times as
    long. `silent` says that it did not grow.
    """

    def __init__(self, seconds: float, answers: Callable[[], int]) -> None:
        self.silent = False
        self._seconds = seconds
        self._step = seconds / TICKS
        self._answers = answers
        self._heard = answers()
        self._quiet = 0.0
        self._spent = 0.0
        self._timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer = self._loop.call_later(self._step, self._tick)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _tick(self) -> None:
        last, self._last = self._last, self._loop.time()
        heard, self._heard = self._heard, self._answers()
        passed = min(self._last - last, LATE * self._step)
        self._spent += passed
        self._quiet = self._quiet + passed if heard == self._heard else 0.0
        self.silent = self._quiet >= self._seconds
        if self.silent or self._spent >= self._seconds * MAX_BUSY:
            self._timeout.reschedule(self._last)
        else:
            self._timer = self._loop.call_later(self._step, self._tick)
