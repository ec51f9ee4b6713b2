"""Lifecycle events on their way: one outbox and one worker for each receiver.

Receivers share nothing that one of them could hold up: each has its own tries under way, and its
own messages waiting. Events of one session reach a receiver one after the other, in their order.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from app.history.errors import HistoryUnavailable, Unstorable
from app.history.lifecycle.event import EventDelivery, body_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.history.lifecycle.event import Event
    from app.history.lifecycle.receiver import EventReceiver
    from app.history.results.delivery import DeliveryWorker
    from app.history.results.encryption import PayloadCipher

log = structlog.get_logger(__name__)

LIFETIME: Final = 86_400.0
"""Seconds for which an event is tried."""

SLOTS: Final = 8
"""Tries at one receiver at once."""

LAST_TRY: Final = 2.0
"""Seconds for tries while the process ends; what is stored goes on with other replicas."""

LOOKED_AT: Final = 15.0
"""Seconds between two counts of what waits."""


class EventStore(Protocol):
    """Where deliveries wait. Its workers take them from there, one for each receiver."""

    def keep(self, deliveries: Sequence[EventDelivery]) -> None:
        """Take deliveries; returns at once, drops and counts what it has no place for."""
        ...

    async def run(self) -> None:
        """Do what `keep` leaves to be done until cancelled; never raises."""
        ...

    async def opened(self) -> None:
        """Wait until what is kept can be delivered."""
        ...

    async def waiting(self) -> Mapping[str, int]:
        """Count the deliveries that wait, by receiver. Raises `HistoryUnavailable`."""
        ...

    async def flush(self, seconds: float) -> None:
        """After `run` was cancelled: store what is left, for about that long."""
        ...

    async def release(self, seconds: float) -> None:
        """Leave what is kept to other replicas at once, within that time, or drop and count it."""
        ...


class EventWebhooks:
    """Implements `LifecycleEvents`: takes events, and delivers them while `run` runs.

    `ciphers` are, by receiver, what waiting bodies are encrypted with; none where they may be
    read. `on_backlog` hears how many deliveries wait for a receiver.
    """

    def __init__(
        self,
        receivers: Sequence[EventReceiver],
        store: EventStore,
        workers: Mapping[str, DeliveryWorker],
        clock: Callable[[], float],
        *,
        ciphers: Mapping[str, PayloadCipher] | None = None,
        on_backlog: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        self._receivers = tuple(receivers)
        self._store = store
        self._workers = dict(workers)
        self._clock = clock
        self._ciphers = ciphers or {}
        self._on_backlog = on_backlog
        self._sequence = 0

    @property
    def names(self) -> frozenset[str]:
        """The names of all receivers."""
        return frozenset(self._workers)

    def emit(self, event: Event) -> None:
        """Hand over one event; those of a session are delivered in their order."""
        receivers = [receiver for receiver in self._receivers if receiver.wants(event)]
        if not receivers:
            return
        body, now = body_of(event), self._clock()
        self._store.keep([self._delivery(receiver, event, body, now) for receiver in receivers])

    def next_sequence(self) -> int:
        """A number after all those of this process, and in line with other processes' clocks."""
        self._sequence = max(self._sequence + 1, int(self._clock() * 1e6))
        return self._sequence

    def wake(self, receiver: str) -> None:
        """Let a receiver's worker look for due deliveries now."""
        self._workers[receiver].wake()

    async def run(self) -> None:
        """Store and deliver until cancelled; never raises."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._store.run(), name="events:store")
            await self._store.opened()
            tasks.create_task(self._count(), name="events:count")
            for name, worker in self._workers.items():
                tasks.create_task(worker.run(), name=f"events:{name}")

    async def close(self, seconds: float) -> None:
        """After `run` was cancelled: store what is left, then try it once, for about that long."""
        await self._store.flush(seconds)
        async with asyncio.TaskGroup() as tasks:
            for name, worker in self._workers.items():
                tasks.create_task(worker.flush(min(seconds, LAST_TRY)), name=f"events:{name}:flush")
        await self._store.release(seconds)

    def _delivery(
        self, receiver: EventReceiver, event: Event, body: bytes, now: float
    ) -> EventDelivery:
        delivery_id = f"msg_{secrets.token_hex(16)}"
        cipher = self._ciphers.get(receiver.name)
        return EventDelivery(
            delivery_id,
            receiver.name,
            event.session_id or None,
            self.next_sequence(),
            str(event.type),
            event.agent,
            event.tenant,
            now,
            now + LIFETIME,
            body if cipher is None else cipher.encrypt(body, delivery_id),
            sealed=cipher is not None,
        )

    async def _count(self) -> None:
        while True:
            try:
                waiting = await self._store.waiting()
            except (HistoryUnavailable, Unstorable):
                waiting = {}  # the workers tell of it
            else:
                for name in self._workers:
                    self._on_backlog(name, waiting.get(name, 0))
            await asyncio.sleep(LOOKED_AT)
