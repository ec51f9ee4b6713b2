"""Outbox in memory, for results without a history: a few tries, bounded, lost with the process."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

import structlog

from app.backoff import Backoff
from app.history.results.delivery import OutboxMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.history.conversation import BatchPart
    from app.history.message import Message

log = structlog.get_logger(__name__)


class MemoryOutbox:
    """Implements `Outbox` and `Sink`: what the writer has written is what is delivered.

    Holds up to `most` messages and `most_bytes`; the one that would be tried last goes first.
    Each is tried up to `tries` times. `on_message` is called when there is a new one,
    `on_dropped` with the number of messages that were dropped.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        tries: int = 5,
        most: int = 10_000,
        most_bytes: int = 64 * 1024 * 1024,
        backoff: Backoff | None = None,
        on_message: Callable[[], None] | None = None,
        on_dropped: Callable[[int], None] | None = None,
    ) -> None:
        self._clock = clock
        self._tries = tries
        self._most = most
        self._most_bytes = most_bytes
        self._backoff = backoff or Backoff(1.0, 60.0)
        self.on_message = on_message
        self._on_dropped = on_dropped
        self._waiting: list[tuple[float, int, OutboxMessage]] = []
        self._claimed: dict[str, OutboxMessage] = {}
        self._bytes = 0
        self._order = count()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._claimed)

    async def open(self) -> None:
        """Be ready at once."""

    async def write(self, parts: Sequence[BatchPart]) -> frozenset[str]:
        """Keep the messages; nothing else is kept without a history."""
        for part in parts:
            if part.message is not None:
                self._keep(part.message)
        if self.on_message is not None and self._waiting:
            self.on_message()
        return frozenset()

    async def claim(self, most: int) -> Sequence[OutboxMessage]:
        """Take messages that are due."""
        now = self._clock()
        batch: list[OutboxMessage] = []
        while self._waiting and len(batch) < most and self._waiting[0][0] <= now:
            _, _, waited = heapq.heappop(self._waiting)
            queued = OutboxMessage(waited.id, waited.body, waited.deadline, waited.attempts + 1)
            self._claimed[queued.id] = queued
            batch.append(queued)
        return batch

    async def delivered(self, queued: OutboxMessage) -> None:
        """Let go of it."""
        self._let_go(queued)

    async def failed(self, queued: OutboxMessage) -> bool:
        """Keep it for later, unless it was tried often enough or is too late."""
        due = self._clock() + self._backoff.after(queued.attempts)
        if queued.attempts >= self._tries or due >= queued.deadline:
            self._let_go(queued)
            log.error("result_given_up", message=queued.id, attempts=queued.attempts)
            return False
        self._claimed.pop(queued.id, None)
        self._push(due, queued)
        return True

    def discard(self) -> None:
        """Let go of everything, loudly."""
        if len(self):
            self._drop(len(self))
        self._waiting.clear()
        self._claimed.clear()
        self._bytes = 0

    def requeue(self) -> None:
        """Make everything due now, what was under way included: the last chance to go."""
        batch = [*self._claimed.values(), *(queued for _, _, queued in self._waiting)]
        self._claimed.clear()
        self._waiting.clear()
        for queued in batch:
            self._push(self._clock(), queued)

    def _keep(self, message: Message) -> None:
        queued = OutboxMessage(message.id, message.body, message.deadline, 0)
        self._bytes += len(queued.body)
        self._push(self._clock(), queued)
        dropped = 0
        while self._waiting and (len(self) > self._most or self._bytes > self._most_bytes):
            last = max(self._waiting)
            self._waiting.remove(last)
            heapq.heapify(self._waiting)
            self._bytes -= len(last[2].body)
            dropped += 1
        if dropped:
            self._drop(dropped)

    def _drop(self, batch: int) -> None:
        log.error("results_dropped", results=batch)
        if self._on_dropped is not None:
            self._on_dropped(batch)

    def _push(self, due: float, queued: OutboxMessage) -> None:
        heapq.heappush(self._waiting, (due, next(self._order), queued))

    def _let_go(self, queued: OutboxMessage) -> None:
        if self._claimed.pop(queued.id, None) is not None:
            self._bytes -= len(queued.body)
