"""Outbox in memory, for messages without a history: a few tries, bounded, lost with the process."""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

import structlog

from app.backoff import Backoff
from app.history.results.delivery import OutboxMessage
from app.telemetry.loss_log import LossLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.history.conversation import BatchPart
    from app.history.message import Message

log = structlog.get_logger(__name__)


class MemoryOutbox:
    """Implements `Outbox` and `Sink`: what the writer has written is what is delivered.

    Holds up to `most` messages and `most_bytes`; the one that would be tried last goes first.
    Each is tried up to `tries` times; those of one conversation one after the other.
    `on_message` is called when there is a new one, `on_dropped` with the number of messages that
    were dropped. `kind` is what log events are named by.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        tries: int = 5,
        most: int = 10_000,
        most_bytes: int = 64 * 1024 * 1024,
        backoff: Backoff | None = None,
        on_dropped: Callable[[int], None] | None = None,
        kind: str = "result",
        receiver: str | None = None,
    ) -> None:
        self._clock = clock
        self._tries = tries
        self._most = most
        self._most_bytes = most_bytes
        self._backoff = backoff or Backoff(1.0, 60.0)
        self.on_message: Callable[[], None] | None = None
        self._on_dropped = on_dropped
        logger = log if receiver is None else log.bind(receiver=receiver)
        self._dropped = LossLog(logger, f"{kind}s_dropped", f"{kind}s")
        self._given_up = LossLog(logger, f"{kind}_given_up", f"{kind}s")
        # Of each conversation the first message is due at a time of the heap's, or is claimed.
        self._lines: dict[str, deque[OutboxMessage]] = {}
        self._waiting: list[tuple[float, int, str]] = []
        self._claimed: dict[str, str] = {}
        self._size = 0
        self._bytes = 0
        self._order = count()

    def __len__(self) -> int:
        return self._size

    async def open(self) -> None:
        """Be ready at once."""

    async def write(self, parts: Sequence[BatchPart]) -> frozenset[str]:
        """Keep the messages; nothing else is kept without a history."""
        for part in parts:
            if part.message is not None:
                self.keep(part.message)
        if self.on_message is not None and self._waiting:
            self.on_message()
        return frozenset()

    async def claim(self, most: int) -> Sequence[OutboxMessage]:
        """Take messages that are due."""
        now = self._clock()
        batch: list[OutboxMessage] = []
        while self._waiting and len(batch) < most and self._waiting[0][0] <= now:
            _, _, conversation = heapq.heappop(self._waiting)
            waited = self._lines[conversation][0]
            queued = OutboxMessage(waited.id, waited.body, waited.deadline, waited.attempts + 1)
            self._lines[conversation][0] = queued
            self._claimed[queued.id] = conversation
            batch.append(queued)
        return batch

    async def delivered(self, queued: OutboxMessage) -> None:
        """Let go of it."""
        self._let_go(queued)

    async def failed(
        self, queued: OutboxMessage, trouble: str = "", *, final: bool = False
    ) -> bool:
        """Keep it for later, unless it was tried often enough or is too late."""
        due = self._clock() + self._backoff.after(queued.attempts)
        if final or queued.attempts >= self._tries or due >= queued.deadline:
            self._let_go(queued)
            self._given_up.lost(message=queued.id, attempts=queued.attempts, trouble=trouble)
            return False
        conversation = self._claimed.pop(queued.id, None)
        if conversation is not None:
            self._push(due, conversation)
        return True

    def discard(self) -> None:
        """Let go of everything, loudly."""
        if len(self):
            self._drop(len(self))
        self._dropped.flush()
        self._given_up.flush()
        self._lines.clear()
        self._waiting.clear()
        self._claimed.clear()
        self._size = self._bytes = 0

    def requeue(self) -> None:
        """Make everything due now, what was under way included: the last chance to go."""
        self._claimed.clear()
        self._waiting.clear()
        for conversation in self._lines:
            self._push(self._clock(), conversation)

    def keep(self, message: Message) -> None:
        """Take a message, behind those of its conversation."""
        line = self._lines.setdefault(message.conversation_id, deque())
        line.append(OutboxMessage(message.id, message.body, message.deadline, 0))
        self._size += 1
        self._bytes += len(message.body)
        if len(line) == 1:
            self._push(self._clock(), message.conversation_id)
        dropped = 0
        while self._size > self._most or self._bytes > self._most_bytes:
            if not self._drop_last(message.conversation_id):
                break
            dropped += 1
        if dropped:
            self._drop(dropped)

    def _drop_last(self, newest: str) -> bool:
        """Drop the last message of the conversation that is due last, else of the `newest`."""
        last = max(self._waiting) if self._waiting else None
        conversation = newest if last is None else last[2]
        line = self._lines.get(conversation)
        if line is None or (last is None and len(line) == 1):
            return False  # it is under way
        self._size -= 1
        self._bytes -= len(line.pop().body)
        if not line and last is not None:
            del self._lines[conversation]
            self._waiting.remove(last)
            heapq.heapify(self._waiting)
        return True

    def _drop(self, batch: int) -> None:
        self._dropped.lost(batch)
        if self._on_dropped is not None:
            self._on_dropped(batch)

    def _push(self, due: float, conversation: str) -> None:
        heapq.heappush(self._waiting, (due, next(self._order), conversation))

    def _let_go(self, queued: OutboxMessage) -> None:
        conversation = self._claimed.pop(queued.id, None)
        if conversation is None:
            return
        line = self._lines[conversation]
        line.popleft()
        self._size -= 1
        self._bytes -= len(queued.body)
        if line:
            self._push(self._clock(), conversation)
        else:
            del self._lines[conversation]
