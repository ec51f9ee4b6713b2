"""Event webhooks put together: in the database where there is one, else in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.backoff import Backoff
from app.history.lifecycle.memory import MOST, MemoryEvents
from app.history.lifecycle.webhooks import SLOTS, EventWebhooks
from app.history.results.delivery import Delivery, DeliveryWorker
from app.history.results.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from app.history.database import Database
    from app.history.lifecycle.receiver import EventReceiver
    from app.history.results.delivery import Outbox

TIMEOUT: Final = 15.0
"""Seconds for one try."""

GONE: Final = frozenset(("status_410",))
"""The receiver wants no more of it (RFC 9110 §15.5.11): not tried again."""

BACKOFF: Final = Backoff(2.0, 3600.0)


def _nothing(*_: object) -> None:
    """Count nowhere."""


@dataclass(frozen=True, slots=True)
class EventMeters:
    """Callbacks for metrics: what became of deliveries, by outcome; how many wait, by receiver."""

    on_outcome: Callable[[str, int], None] = _nothing
    on_backlog: Callable[[str, int], None] = _nothing

    def tried(self, delivery: Delivery) -> None:
        """Count a try."""
        self.on_outcome(delivery.value, 1)

    def given_up(self, count: int) -> None:
        """Count deliveries past their deadline."""
        self.on_outcome(Delivery.GIVEN_UP.value, count)

    def dropped(self, count: int) -> None:
        """Count deliveries for which there was no place."""
        self.on_outcome("dropped", count)


@dataclass(frozen=True, slots=True)
class Delivering:
    """How events are sent: the guarded client, Unix seconds, one try's time-out, the pauses."""

    http: httpx.AsyncClient
    clock: Callable[[], float]
    timeout: float = TIMEOUT
    backoff: Backoff | None = None
    poll: float = 2.0


def stored_events(
    receivers: Sequence[EventReceiver],
    database: Database,
    delivering: Delivering,
    *,
    replica: str,
    content: bool = True,
    meters: EventMeters | None = None,
    lease: float = 60.0,
) -> EventWebhooks:
    """Events wait in the database; without `content` their bodies are encrypted there."""
    from app.history.lifecycle.stored import StoredEvents, messages_of  # noqa: PLC0415 - database
    from app.history.results.database_outbox import DatabaseOutbox  # noqa: PLC0415
    from app.history.results.encryption import PayloadCipher  # noqa: PLC0415

    meters = meters or EventMeters()
    # What waits may be encrypted although contents are kept now.
    ciphers = {receiver.name: PayloadCipher(*receiver.secrets) for receiver in receivers}
    workers = {
        receiver.name: _worker(
            receiver,
            DatabaseOutbox(
                database,
                delivering.clock,
                replica,
                messages=messages_of(receiver.name),
                seal=ciphers[receiver.name],
                backoff=delivering.backoff or BACKOFF,
                lease=lease,
                on_given_up=meters.given_up,
            ),
            delivering,
            meters,
        )
        for receiver in receivers
    }
    store = StoredEvents(
        database, replica, on_stored=lambda name: workers[name].wake(), on_dropped=meters.dropped
    )
    return EventWebhooks(
        receivers,
        store,
        workers,
        delivering.clock,
        ciphers={} if content else ciphers,
        on_backlog=meters.on_backlog,
    )


def events_in_memory(
    receivers: Sequence[EventReceiver],
    delivering: Delivering,
    *,
    meters: EventMeters | None = None,
    most: int = MOST,
) -> EventWebhooks:
    """No history: events wait in memory, `most` for each receiver, for a few tries."""
    meters = meters or EventMeters()
    store = MemoryEvents(
        [receiver.name for receiver in receivers],
        delivering.clock,
        on_dropped=meters.dropped,
        most=most,
        backoff=delivering.backoff,
    )
    workers: dict[str, DeliveryWorker] = {}
    for receiver in receivers:
        outbox = store.outboxes[receiver.name]
        workers[receiver.name] = _worker(receiver, outbox, delivering, meters)
        outbox.on_message = workers[receiver.name].wake
    return EventWebhooks(receivers, store, workers, delivering.clock, on_backlog=meters.on_backlog)


def _worker(
    receiver: EventReceiver, outbox: Outbox, delivering: Delivering, meters: EventMeters
) -> DeliveryWorker:
    sender = Sender(
        receiver.url,
        receiver.secrets,
        delivering.http,
        delivering.clock,
        timeout=delivering.timeout,
    )
    return DeliveryWorker(
        outbox,
        sender,
        slots=SLOTS,
        poll=delivering.poll,
        on_delivery=meters.tried,
        kind="event",
        receiver=receiver.name,
        final=GONE,
    )
