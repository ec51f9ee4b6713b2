"""Off the hot path: records become batches, and batches are written until the sink takes them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from app.backoff import Backoff
from app.history.conversation import BatchPart
from app.history.errors import HistoryUnavailable, Unstorable
from app.history.load_monitor import LoadMonitor
from app.history.pacing import TimeSlice
from app.history.queue import RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from app.history.conversation import RecordedConversation
    from app.history.queue import Bounds, Record, RecordQueue
    from app.history.results.composer import Composer

log = structlog.get_logger(__name__)

REPORT_EVERY: Final = 10.0
"""Seconds between two log lines about the same trouble."""

STARTED: Final = RecordKind.STARTED
FRAME: Final = RecordKind.FRAME
TOOL: Final = RecordKind.TOOL
ENDED: Final = RecordKind.ENDED
"""Looked up once: an enum's member costs more than what is done by it."""

FIRST_RETRY: Final = 0.1
MOST_SHARES: Final = 64


class Sink(Protocol):
    """Where batches go. Writing the same batch twice is writing it once."""

    async def open(self) -> None:
        """Make ready. Raises `HistoryUnavailable` when that may work later."""
        ...

    async def write(self, parts: Sequence[BatchPart]) -> Collection[str]:
        """Write all parts or none. Returns the ids of conversations that were erased meanwhile.

        Raises `HistoryUnavailable` when it may work later, `Unstorable` when it never will.
        """
        ...


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
    """Takes records from the queue in slices of time, and writes them with patience.

    `still` is set while no write is under way.
    """

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
        self.still = asyncio.Event()
        self.still.set()
        self._queue = queue
        self._bounds = bounds
        self._clock = clock
        self._sink = sink
        self._composer = composer
        self._on_dropped = on_dropped
        self._on_stored = on_stored
        self._batch: dict[str, BatchPart] = {}
        self._opened = False
        self._taken = 0
        self._shares = 1
        self._load = LoadMonitor()
        self._written: Counter[str] = Counter()
        self._skipped = 0
        self._erased = 0
        self._told = 0
        self._untold = 0
        self._logged: dict[str, float] = {}

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
                while self._queue or self._batch:
                    failures = 0 if await self._cycle() else failures + 1
                    if failures:
                        await asyncio.sleep(self._pause(failures))
        except TimeoutError:
            self._abandon()
        self._logged.clear()
        self._report()

    def conversations(self) -> Iterator[RecordedConversation]:
        """Yield every conversation of which something is not yet written."""
        yield from self._queue.conversations()
        for part in self._batch.values():
            yield part.conversation

    def counts(self) -> Counts:
        """Return the numbers as they are now."""
        held = sum(part.count for part in self._batch.values())
        return Counts(
            Counter(self._written),
            self._skipped + self._queue.skipped,
            self._erased,
            Counter(self._queue.dropped),
            len(self._queue) + held + self._queue.owed,
            self._queue.bytes,
        )

    def _interval(self) -> float:
        """Seconds until the next batch: none while more than one waits, unless frames need them."""
        bounds = self._bounds
        if self._load.is_busy():
            pause = max(bounds.interval, self._taken / bounds.busy_rate)
            return pause * self._leisure()
        return bounds.interval if len(self._queue) < bounds.batch else 0.0

    def _leisure(self) -> float:
        """Which part of its rests history may take: all with an empty queue, none from half on.

        A queue that fills is written the faster, until as much is written as comes in: records
        are dropped when the database is too slow for them, not because frames came first.
        """
        return max(0.0, 1.0 - 2.0 * self._queue.fullness)

    def _pause(self, failures: int) -> float:
        return Backoff(FIRST_RETRY, self._bounds.slowest_retry).after(failures + 1)

    async def _cycle(self) -> bool:
        """Make one batch and write it. Returns False when it must be tried again."""
        try:
            if not self._opened:
                await self._sink.open()
                self._opened = True
            if not self._batch:
                self._taken = await self._gather()
            if self._batch:
                await self._commit()
        except HistoryUnavailable as error:
            advice = {"advice": error.advice} if error.advice else {}
            self._log("history_lost", error=str(error), **advice)
            return False
        except Exception as error:  # noqa: BLE001 - outermost door: history must not end a process
            self._log("history_failed", error=type(error).__name__)
            return False
        return True

    async def _gather(self) -> int:
        taken = size = 0
        time = TimeSlice(self._bounds.slice)
        while self._queue and taken < self._bounds.batch and size < self._bounds.batch_bytes:
            record = self._queue.take()
            self._digest(record)
            taken += 1
            size += record[2]
            if time.is_over():
                await time.rest(self._bounds.rest * self._leisure())
        return taken

    def _digest(self, record: Record) -> None:
        """Turn a record into rows, without an await: it is always in one place alone."""
        kind: RecordKind = record[0]
        conversation: RecordedConversation = record[1]
        size: int = record[2]
        part = self._batch.get(conversation.start.id) or BatchPart(conversation)
        if self._queue.restore_start(conversation):
            part.feed(STARTED, 0)
            self._batch[conversation.start.id] = part
        try:
            left = not conversation.erased and self._enter(part, record)
        except Exception as error:  # noqa: BLE001 - outermost door: one record must not stop all
            self._log("history_record_failed", error=type(error).__name__, kind=kind.value)
            self._queue.let_go(1, size)
            self._queue.lose(kind, conversation)
            return
        if left:
            part.feed(kind, size)
            self._batch[conversation.start.id] = part
            return
        self._queue.let_go(1, size)
        if conversation.erased:
            self._erased += 1
        else:
            self._skipped += 1

    def _enter(self, part: BatchPart, record: Record) -> bool:
        conversation = part.conversation
        kind = record[0]
        if kind is FRAME:
            return conversation.frame(part, record[3], record[4], record[5])
        carried = record[3:]
        if kind is TOOL:
            conversation.tool(part, *carried)
        elif kind is ENDED:
            conversation.ended(part, *carried)
            if self._composer is not None:
                part.message = self._composer.compose(conversation, *carried)
                if conversation.transcript is not None:
                    conversation.transcript.release()
        return True

    async def _commit(self) -> None:
        """Write the batch; in ever smaller shares while the sink is too slow for more at once."""
        parts = list(self._batch.values())
        step = max(1, len(parts) // self._shares)
        self._shares = min(self._shares * 2, MOST_SHARES)
        for at in range(0, len(parts), step):
            await self._write_or_lose(parts[at : at + step])
        self._shares = 1

    async def _write_or_lose(self, parts: Sequence[BatchPart]) -> None:
        try:
            await self._write(parts)
        except Unstorable:
            for part in parts:  # one of them is to blame: the others shall not fall with it
                try:
                    await self._write([part])
                except Unstorable as error:
                    self._log("history_refused", error=str(error))
                    self._lose(part)

    async def _write(self, parts: Sequence[BatchPart]) -> None:
        wanted = [part for part in parts if not part.conversation.erased]
        self.still.clear()
        try:
            gone = await self._sink.write(wanted) if wanted else ()
        finally:
            self.still.set()
        if self._on_stored is not None:
            new = [p.conversation.start.id for p in parts if not p.conversation.stored]
            self._on_stored(new)
        time = TimeSlice(self._bounds.slice)
        for part in parts:
            conversation = part.conversation
            if conversation.start.id in gone:
                conversation.erase()
            if conversation.erased:
                self._erased += part.count
            else:
                conversation.stored = True
                conversation.end_stored = part.end is not None
                self._written.update(part.fed)
            self._settle(part)
            if time.is_over():
                await time.rest()

    def _settle(self, part: BatchPart) -> None:
        self._queue.let_go(part.count, part.size)
        del self._batch[part.conversation.start.id]

    def _lose(self, part: BatchPart) -> None:
        for kind, count in part.fed.items():
            self._queue.lose(kind, part.conversation, count)
        self._settle(part)

    def _abandon(self) -> None:
        for part in list(self._batch.values()):
            self._lose(part)
        self._queue.drop_all()

    def _report(self) -> None:
        dropped = self._queue.dropped.total()
        if dropped > self._told and self._on_dropped is not None:
            self._on_dropped(dropped - self._told)
        self._told = dropped
        if dropped > self._untold and self._log(
            "history_dropped", records=dropped - self._untold, total=dropped
        ):
            self._untold = dropped

    def _log(self, event: str, **fields: object) -> bool:
        now = self._clock()
        if now - self._logged.get(event, -REPORT_EVERY) < REPORT_EVERY:
            return False
        self._logged[event] = now
        log.warning(event, **fields)
        return True
