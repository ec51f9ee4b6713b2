"""The bounded queue between the hot path and history: the oldest goes first, and is counted."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.history.conversation import RecordedConversation

OVERHEAD: Final = 256
"""Bytes that a record takes beside its payload, roughly."""


class RecordKind(StrEnum):
    """What a record reports; also the label under which losses are counted."""

    STARTED = "started"
    FRAME = "frame"
    TOOL = "tool"
    ENDED = "ended"


_STARTED: Final = RecordKind.STARTED
_ENDED: Final = RecordKind.ENDED

Record: TypeAlias = "tuple[Any, ...]"
"""Kind, conversation, size in bytes, then what that kind carries: one flat tuple per frame."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait, and how it is written.

    `bytes` and `count` bound everything not yet committed, the batch in flight included. A batch
    of `batch` records is written every `interval` seconds, at once while more wait; then it takes
    a part of all that wait, up to `largest_batch`: the more there is to do, the less a record
    costs. `batch_bytes` bounds a batch of `batch` records, a larger one in proportion.

    `slice` seconds of work are done at a time, then `rest` seconds are left to the conversations.
    While the process has no time to spare, `busy_rate` records are written per second and the
    others wait, the more of them the shorter: with half a bound taken, neither `rest` nor
    `busy_rate` holds. `slowest_retry` is the longest pause, in seconds, between two tries of a
    database that does not answer.
    """

    bytes: int = 64 * 1024 * 1024
    count: int = 100_000
    batch: int = 1000
    largest_batch: int = 2000
    batch_bytes: int = 2 * 1024 * 1024
    interval: float = 0.25
    slice: float = 0.0005
    rest: float = 0.001
    busy_rate: float = 4000.0
    slowest_retry: float = 2.0


class RecordQueue:
    """Records in their order. `dropped` counts what had to go, by kind.

    An end is never pushed out by frames: without it, a conversation would have no result. It is
    set aside instead, until as many ends wait as records may. A start that is pushed out is owed,
    not lost: any later record of its conversation makes up for it. Nor is one lost that would have
    left no row: `leaves` tells, and is asked only when a record has to go.
    """

    __slots__ = (
        "_bytes",
        "_ends",
        "_held",
        "_held_bytes",
        "_leaves",
        "_limit",
        "_owed",
        "_queue",
        "_size",
        "dropped",
        "skipped",
    )

    def __init__(self, bounds: Bounds, leaves: Callable[[Record], bool] | None = None) -> None:
        self.dropped: Counter[str] = Counter()
        self.skipped = 0
        self._leaves = leaves
        self._limit = bounds.bytes
        self._size = bounds.count
        self._queue: deque[Record] = deque()
        self._ends: deque[Record] = deque()
        self._owed: set[RecordedConversation] = set()
        self._bytes = 0
        self._held = 0
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._queue) + len(self._ends)

    @property
    def bytes(self) -> int:
        """What waits and what is held, in bytes."""
        return self._bytes + self._held_bytes

    @property
    def fullness(self) -> float:
        """Which part of the bound in records or in bytes is taken, whichever is more."""
        return max((len(self._queue) + self._held) / self._size, self.bytes / self._limit)

    @property
    def slack(self) -> float:
        """Which part of its rests history may take: all with an empty queue, none from half on.

        A queue that fills is written the faster, until as much is written as comes in: records
        are dropped when the database is too slow for them, not because frames came first.
        """
        return max(0.0, 1.0 - 2.0 * self.fullness)

    @property
    def owed(self) -> int:
        """How many starts were pushed out that later records may still make up for."""
        return len(self._owed)

    def put(self, record: Record) -> None:
        """Append a record; make room where there is none. This is on the way of every frame."""
        self._queue.append(record)
        self._bytes += record[2]
        if (
            self._bytes + self._held_bytes > self._limit
            or len(self._queue) + self._held > self._size
        ):
            self._make_room()

    def take(self) -> Record:
        """Remove the oldest record; it goes on counting until it is let go."""
        record = (self._ends or self._queue).popleft()
        self._bytes -= record[2]
        self._held += 1
        self._held_bytes += record[2]
        return record

    def restore_start(self, conversation: RecordedConversation) -> bool:
        """Take over an owed start, which then counts as taken; False if none is owed."""
        if conversation not in self._owed:
            return False
        self._owed.discard(conversation)
        self._held += 1
        return True

    def let_go(self, count: int, size: int) -> None:
        """Stop counting records that were taken: they are committed, or lost."""
        self._held -= count
        self._held_bytes -= size

    def conversations(self) -> Iterator[RecordedConversation]:
        """Yield the conversation of every record that waits."""
        for queue in (self._ends, self._queue):
            for record in queue:
                yield record[1]

    def lose(self, kind: str, conversation: RecordedConversation, count: int = 1) -> None:
        """Count records as dropped."""
        self.dropped[kind] += count
        conversation.lost += count

    def drop_all(self) -> None:
        """Give up everything that waits."""
        while self:
            record = self.take()
            self.let_go(1, record[2])
            self._lose(record)
        for conversation in self._owed:
            self.lose(_STARTED, conversation)
        self._owed.clear()

    def _make_room(self) -> None:
        while self._queue and (
            self._bytes + self._held_bytes > self._limit
            or len(self._queue) + self._held > self._size
        ):
            record = self._queue.popleft()
            if record[0] is _ENDED:
                self._ends.append(record)
                if len(self._ends) <= self._size:
                    continue
                record = self._ends.popleft()
            self._bytes -= record[2]
            if record[0] is _STARTED:
                self._owed.add(record[1])
            else:
                self._lose(record)

    def _lose(self, record: Record) -> None:
        conversation: RecordedConversation = record[1]
        if record[0] is _ENDED and conversation in self._owed:  # nothing comes after an end
            self._owed.discard(conversation)
            self.lose(_STARTED, conversation)
        if self._leaves is None or self._leaves(record):
            self.lose(record[0], conversation)
        else:
            self.skipped += 1
