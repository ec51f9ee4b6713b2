"""History and results put together: what is configured decides which parts there are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.history.audit import AuditLog
from app.history.database import Database
from app.history.partitions import Partitions
from app.history.pending_ends import PendingEnds
from app.history.presence import MARK_DEADLINE, Presence
from app.history.queue import Bounds
from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.recovery import NotedSessions, Recovery
from app.history.results.composer import Composer
from app.history.results.database_outbox import DatabaseOutbox
from app.history.results.delivery import DeliveryWorker
from app.history.results.encryption import PayloadCipher
from app.history.results.memory_outbox import MemoryOutbox
from app.history.results.sender import Sender
from app.history.retention import Retention
from app.history.shown import Shown
from app.history.store import Store
from app.history.usage import UsageReader

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from pydantic import SecretStr

    from app.history.results.delivery import Delivery
    from app.protocol.redaction import Redaction


def _nothing(*_: object) -> None:
    """Count nowhere."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where results go; `http` is a client that reaches allowed addresses alone."""

    url: SecretStr
    secret: SecretStr
    http: httpx.AsyncClient
    org_id: str = ""
    timeout: float = 15.0


@dataclass(frozen=True, slots=True)
class Meters:
    """Callbacks for metrics: records dropped, tries to deliver, results lost for good."""

    on_dropped: Callable[[int], None] = _nothing
    on_delivery: Callable[[Delivery], None] = _nothing
    on_results_lost: Callable[[int], None] = _nothing


@dataclass(frozen=True, slots=True)
class Clocks:
    """`monotonic` for pauses, `wall` in Unix seconds for what is compared between replicas."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]


@dataclass(slots=True)
class History:
    """What the application holds: `recorder` for the relay, `reader` for the web layer if any.

    `database`, where there is one, is closed by `close`.
    """

    recorder: QueueRecorder
    reader: HistoryReader | None
    _delivery: DeliveryWorker | None = field(repr=False)
    _memory: MemoryOutbox | None = field(repr=False)
    _retention: Retention | None = field(repr=False)
    database: Database | None = field(repr=False)
    _presence: Presence | None = field(repr=False, default=None)
    recovery: Recovery | None = field(repr=False, default=None)
    usage: UsageReader | None = field(repr=False, default=None)
    audit: AuditLog | None = None

    async def run(self) -> None:
        """Do all the work off the hot path until cancelled; never raises."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.recorder.run(), name="history:recorder")
            if self._delivery is not None:
                group.create_task(self._delivery.run(), name="history:results")
            if self._retention is not None:
                group.create_task(self._retention.run(), name="history:retention")
            if self.audit is not None:
                group.create_task(self.audit.run(), name="history:audit")
            if self._presence is not None:
                group.create_task(self._presence.run(), name="history:presence")
            if self.recovery is not None:
                group.create_task(self.recovery.run(), name="history:recovery")

    async def close(self, seconds: float) -> None:
        """After `run` was cancelled: write and deliver what is left, for about that long."""
        await self.recorder.flush(seconds)
        if self.recovery is not None:
            await self.recovery.settle()
        if self._memory is not None:
            self._memory.requeue()
        if self._delivery is not None:
            await self._delivery.flush(seconds)
        if self._memory is not None:
            self._memory.discard()
        if self.audit is not None:
            await self.audit.flush()
        if self._presence is not None:
            await self._presence.close()
        if self.database is not None:
            await self.database.close()


def stored_history(  # noqa: PLR0913 - each is a part of its own
    url: SecretStr,
    clocks: Clocks,
    *,
    replica: str,
    days: float = 30.0,
    audit_days: float = 365.0,
    content: bool = True,
    webhook: Webhook | None = None,
    bounds: Bounds | None = None,
    meters: Meters | None = None,
    journal: NotedSessions | None = None,
    redaction: Redaction | None = None,
) -> History:
    """History in a database; with a webhook, results by way of its outbox. Masked, if at all.

    `journal` tells of conversations that dead replicas did not write.
    """
    meters = meters or Meters()
    database = Database(url)
    delivery = composer = None
    if webhook is not None:
        seal = None if content else PayloadCipher(webhook.secret)
        composer = Composer(webhook.org_id, cipher=seal)
        outbox = DatabaseOutbox(
            database, clocks.wall, replica, seal=seal, on_given_up=meters.on_results_lost
        )
        delivery = DeliveryWorker(outbox, _sender(webhook, clocks), on_delivery=meters.on_delivery)
    partitions = Partitions(database, days)
    store = Store(database, delivery.wake if delivery is not None else None, partitions)
    recovery = None if journal is None else Recovery(database, journal)
    ends = PendingEnds()
    recorder = QueueRecorder(
        bounds or Bounds(),
        clocks.monotonic,
        store,
        content=content,
        replica=replica,
        composer=composer,
        on_dropped=meters.on_dropped,
        on_stored=None if recovery is None else recovery.stored,
        shown=Shown(redaction),
        ends=ends,
    )
    # A connection of its own: it is not to wait for those that read and write history.
    own = Database(url, deadline=MARK_DEADLINE, connections=1)
    return History(
        recorder,
        HistoryReader(database, recorder.forget),
        delivery,
        None,
        Retention(database, days, clocks.wall, partitions=partitions),
        database,
        Presence(own, replica, clocks.wall, lambda: recorder.is_recording, ends),
        recovery,
        UsageReader(database, clocks.wall),
        AuditLog(database, audit_days, clocks.wall),
    )


def results_alone(
    webhook: Webhook,
    clocks: Clocks,
    *,
    bounds: Bounds | None = None,
    meters: Meters | None = None,
    redaction: Redaction | None = None,
) -> History:
    """No history: results from memory, tried a few times. Masked, if at all."""
    meters = meters or Meters()
    outbox = MemoryOutbox(clocks.wall, on_dropped=meters.on_results_lost)
    delivery = DeliveryWorker(outbox, _sender(webhook, clocks), on_delivery=meters.on_delivery)
    outbox.on_message = delivery.wake
    recorder = QueueRecorder(
        bounds or Bounds(),
        clocks.monotonic,
        outbox,
        content=False,
        composer=Composer(webhook.org_id),
        on_dropped=meters.on_dropped,
        shown=Shown(redaction),
    )
    return History(recorder, None, delivery, outbox, None, None)


def _sender(webhook: Webhook, clocks: Clocks) -> Sender:
    return Sender(webhook.url, webhook.secret, webhook.http, clocks.wall, timeout=webhook.timeout)
