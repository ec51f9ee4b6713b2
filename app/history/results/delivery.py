"""Delivery of messages from an outbox: a few at a time, back into it when refused."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from app.backoff import Backoff
from app.history.errors import HistoryUnavailable, Unstorable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.history.results.sender import Sender

log = structlog.get_logger(__name__)

MARKING_TRIES: Final = 5


class Delivery(StrEnum):
    """What became of one try, or of a message; the closed set behind a metric's label."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message that is due. `attempts` counts this one too."""

    id: str
    body: bytes = field(repr=False)
    deadline: float
    attempts: int


class Outbox(Protocol):
    """Where messages wait to be delivered.

    Methods raise `HistoryUnavailable` when it cannot be reached.
    """

    async def claim(self, most: int) -> Sequence[OutboxMessage]:
        """Take messages that are due, with a lease: no other worker gets them meanwhile."""
        ...

    async def delivered(self, queued: OutboxMessage) -> None:
        """Mark a message delivered."""
        ...

    async def failed(
        self, queued: OutboxMessage, trouble: str = "", *, final: bool = False
    ) -> bool:
        """Keep a message for another try. Returns False when there is none left.

        `trouble` is a word for what went wrong; if that is `final`, there is no other try.
        """
        ...


class DeliveryWorker:
    """Delivers messages while `run` runs; `wake` tells it that there are new ones.

    `slots` is how many are under way at once, `poll` how long it sleeps when none is due.
    `on_delivery` is called for each try. `kind` is what log events are named by, `final` are the
    answers after which a message is not tried again.
    """

    def __init__(
        self,
        outbox: Outbox,
        sender: Sender,
        *,
        slots: int = 8,
        poll: float = 2.0,
        on_delivery: Callable[[Delivery], None] | None = None,
        kind: str = "result",
        receiver: str | None = None,
        final: frozenset[str] = frozenset(),
    ) -> None:
        self._kind = kind
        self._log = log if receiver is None else log.bind(receiver=receiver)
        self._final = final
        self._outbox = outbox
        self._sender = sender
        self._slots = slots
        self._poll = poll
        self._on_delivery = on_delivery
        self._under_way = 0
        self._reachable = True
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Look for due messages now."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled; never raises. What was under way then is tried again later."""
        async with asyncio.TaskGroup() as group:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll):
                        await self._news.wait()
                self._news.clear()
                while await self._round(group):
                    pass

    async def flush(self, seconds: float) -> None:
        """Try once whatever is due, for at most that long: for after `run` was cancelled."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                while await self._round(group) or self._under_way:
                    await self._news.wait()
                    self._news.clear()

    async def _round(self, group: asyncio.TaskGroup) -> bool:
        free = self._slots - self._under_way
        if free <= 0:
            return False
        try:
            batch = await self._outbox.claim(free)
        except (HistoryUnavailable, Unstorable) as error:
            if self._reachable:
                self._log.warning(f"{self._kind}s_unreachable", error=str(error))
            self._reachable = False
            return False
        self._reachable = True
        for queued in batch:
            self._under_way += 1
            group.create_task(self._deliver(queued), name=f"delivery:{self._kind}")
        return len(batch) > 0

    async def _deliver(self, queued: OutboxMessage) -> None:
        try:
            trouble = await self._sender.send(queued.id, queued.body, queued.deadline)
            await self._mark(queued, trouble)
        finally:
            self._under_way -= 1
            self._news.set()

    async def _mark(self, queued: OutboxMessage, trouble: str | None) -> None:
        """Record the outcome.

        If that fails for good the message is due again: delivery is at least once.
        """
        for attempt in range(1, MARKING_TRIES + 1):
            try:
                if trouble is None:
                    await self._outbox.delivered(queued)
                    self._tell(Delivery.DELIVERED)
                else:
                    again = await self._outbox.failed(queued, trouble, final=trouble in self._final)
                    self._log.info(
                        f"{self._kind}_refused", attempt=queued.attempts, trouble=trouble
                    )
                    self._tell(Delivery.FAILED if again else Delivery.GIVEN_UP)
            except (HistoryUnavailable, Unstorable) as error:
                self._log.warning(f"{self._kind}_unmarked", error=str(error))
                await asyncio.sleep(Backoff(0.2, 5.0).after(attempt))
            else:
                return

    def _tell(self, delivery: Delivery) -> None:
        if self._on_delivery is not None:
            self._on_delivery(delivery)
