"""Off the hot path: records become batches, and batches are written until the sink takes them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from app.backoff import Backoff
from app.history.batch import Batch
from app.history.committing import Committer
from app.history.errors import HistoryUnavailable
from app.history.load_monitor import LoadMonitor
from app.history.warning_log import WarningLog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from app.history.conversation import RecordedConversation
    from app.history.queue import Bounds, RecordQueue
    from app.history.results.composer import Composer
    from app.history.sink import Sink

FIRST_RETRY: Final = 0.1


@dataclass(frozen=True, slots=True)
class Counts:
    """How many records were written, left no trace, were erased or dropped, and wait; exact."""

    written: Counter[str]
    skipped: int
    erased: int
    dropped: Counter[str]
    waiting: int
    bytes: int


class Writer:
    """Takes records from the queue, a batch at a time, and writes them with patience."""

    def __init__(
        self,
        queue: RecordQueue,
        bounds: Bounds,
        clock: Callable[[], float],
        sink: Sink,
        composer: Composer | None,
        on_dropped: Callable[[int], None] | None,
        on_stored: Callable[[Collection[str]], None] | None = None,
    ) -> None:
        self._queue = queue
        self._bounds = bounds
        self._on_dropped = on_dropped
        self._warnings = WarningLog(clock)
        self._batch = Batch(queue, bounds, composer, self._warnings)
        self._committer = Committer(self._batch, sink, bounds, self._warnings, on_stored)
        self._taken = 0
        self._load = LoadMonitor()
        self._told = 0
        self._untold = 0

    @property
    def still(self) -> asyncio.Event:
        """Set while no write is under way."""
        return self._committer.still

    async def run(self) -> None:
        """Write until cancelled; never raises."""
        failures = 0
        while True:
            await asyncio.sleep(self._pause(failures) if failures else self._interval())
            failures = 0 if await self._cycle() else failures + 1
            self._report()

    async def flush(self, seconds: float) -> None:
        """Write what is left; drop and count what is left after that."""
        failures = 0
        try:
            async with asyncio.timeout(seconds):
                while self._queue or self._batch.parts:
                    failures = 0 if await self._cycle() else failures + 1
                    if failures:
                        await asyncio.sleep(self._pause(failures))
        except TimeoutError:
            self._abandon()
        self._warnings.forget()
        self._report()

    def conversations(self) -> Iterator[RecordedConversation]:
        """Yield every conversation of which something is not yet written."""
        return chain(self._queue.conversations(), self._batch.conversations())

    def counts(self) -> Counts:
        """Return the numbers as they are now."""
        return Counts(
            Counter(self._batch.written),
            self._batch.skipped + self._queue.skipped,
            self._batch.erased,
            Counter(self._queue.dropped),
            len(self._queue) + self._batch.count + self._queue.owed,
            self._queue.bytes,
        )

    def _interval(self) -> float:
        """Seconds until the next batch: none while more than one waits, unless frames need them."""
        bounds = self._bounds
        if self._load.is_busy(self._batch.work):
            return max(bounds.interval, self._taken / bounds.busy_rate) * self._queue.slack
        return bounds.interval if len(self._queue) < bounds.batch else 0.0

    def _pause(self, failures: int) -> float:
        return Backoff(FIRST_RETRY, self._bounds.slowest_retry).after(failures + 1)

    async def _cycle(self) -> bool:
        """Make one batch and write it. Returns False when it must be tried again."""
        try:
            await self._committer.open()
            if not self._batch.parts:
                self._taken = await self._batch.gather()
            if self._batch.parts:
                await self._committer.commit()
        except HistoryUnavailable as error:
            advice = {"advice": error.advice} if error.advice else {}
            self._warnings.warn("history_lost", error=str(error), **advice)
            return False
        except Exception as error:  # noqa: BLE001 - outermost door: history must not end a process
            self._warnings.warn("history_failed", error=type(error).__name__)
            return False
        return True

    def _abandon(self) -> None:
        for part in list(self._batch.parts.values()):
            self._batch.lose(part)
        self._queue.drop_all()

    def _report(self) -> None:
        dropped = self._queue.dropped.total()
        if dropped > self._told and self._on_dropped is not None:
            self._on_dropped(dropped - self._told)
        self._told = dropped
        if dropped > self._untold and self._warnings.warn(
            "history_dropped", records=dropped - self._untold, total=dropped
        ):
            self._untold = dropped
