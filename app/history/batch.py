"""Records become a batch: what is written of each conversation, in one place until it is."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from app.history.conversation import BatchPart
from app.history.pacing import TimeSlice
from app.history.queue import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.history.conversation import RecordedConversation
    from app.history.queue import Bounds, Record, RecordQueue
    from app.history.results.composer import Composer
    from app.history.warning_log import WarningLog

STARTED: Final = RecordKind.STARTED
FRAME: Final = RecordKind.FRAME
TOOL: Final = RecordKind.TOOL
ENDED: Final = RecordKind.ENDED
"""Looked up once: an enum's member costs more than what is done by it."""

BACKLOG_PART: Final = 2
"""A batch takes up to one in so many of the records that wait: the more wait, the fewer batches."""

QUIET: Final = 0.0002
"""CPU seconds in a rest, below which the loop had no other work; an empty iteration takes some."""

SHARE: Final = 0.05
"""Which part of a long iteration of the loop a slice may add, with an empty queue."""


def rest_after(others: float, queue: RecordQueue, bounds: Bounds) -> float:
    """Seconds until the next slice: none while a batch waits and the loop has no other work.

    `others`: CPU seconds that everything else used in the last rest.
    """
    if others < QUIET and len(queue) >= bounds.batch:
        return 0.0
    return bounds.rest * queue.slack


class Batch:
    """The parts that are to be written. Every record that was fed is in exactly one place.

    `written` counts by kind; `erased` and `skipped` (left no trace) are what needs no writing.
    `work` is how many CPU seconds of the loop it took to gather all batches until now.
    """

    def __init__(
        self, queue: RecordQueue, bounds: Bounds, composer: Composer | None, warnings: WarningLog
    ) -> None:
        self.parts: dict[str, BatchPart] = {}
        self.written: Counter[str] = Counter()
        self.erased = 0
        self.skipped = 0
        self.work = 0.0
        self._queue = queue
        self._bounds = bounds
        self._composer = composer
        self._warnings = warnings

    @property
    def count(self) -> int:
        """How many records it holds."""
        return sum(part.count for part in self.parts.values())

    async def gather(self) -> int:
        """Take records from the queue, in slices of time; return how many."""
        queue, bounds = self._queue, self._bounds
        most = max(bounds.batch, min(len(queue) // BACKLOG_PART, bounds.largest_batch))
        most_bytes = bounds.batch_bytes * most // bounds.batch
        taken = size = 0
        time = TimeSlice(bounds.slice)
        while queue and taken < most and size < most_bytes:
            record = queue.take()
            self._digest(record)
            taken += 1
            size += record[2]
            if time.is_over():
                share = SHARE + queue.fullness / 2
                await time.rest(rest_after(time.others, queue, bounds), share)
        self.work += time.own
        return taken

    def settle(self, part: BatchPart) -> None:
        """Let go of a part that was written: its conversation may have been erased meanwhile."""
        if part.conversation.erased:
            self.erased += part.count
        else:
            part.conversation.stored = True
            part.conversation.end_stored = part.end is not None
            self.written.update(part.fed)
        self._remove(part)

    def lose(self, part: BatchPart) -> None:
        """Let go of a part that is not written any more; its records are counted as dropped."""
        for kind, count in part.fed.items():
            self._queue.lose(kind, part.conversation, count)
        self._remove(part)

    def conversations(self) -> Iterator[RecordedConversation]:
        """Yield the conversation of every part."""
        for part in self.parts.values():
            yield part.conversation

    def _remove(self, part: BatchPart) -> None:
        self._queue.let_go(part.count, part.size)
        del self.parts[part.conversation.start.id]

    def _digest(self, record: Record) -> None:
        """Turn a record into rows, without an await: it is always in one place alone."""
        kind: RecordKind = record[0]
        conversation: RecordedConversation = record[1]
        size: int = record[2]
        name = conversation.start.id
        part = self.parts.get(name)
        if part is None:
            part = BatchPart(conversation)
        if self._queue.restore_start(conversation):
            part.feed(STARTED, 0)
            self.parts[name] = part
        try:
            left = not conversation.erased and self._enter(part, record)
        except Exception as error:  # noqa: BLE001 - outermost door: one record must not stop all
            self._warnings.warn(
                "history_record_failed", error=type(error).__name__, kind=kind.value
            )
            self._queue.let_go(1, size)
            self._queue.lose(kind, conversation)
            return
        if left:
            part.feed(kind, size)
            self.parts[name] = part
            return
        self._queue.let_go(1, size)
        if conversation.erased:
            self.erased += 1
        else:
            self.skipped += 1

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
