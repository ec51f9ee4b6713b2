"""From settings to the webhooks of lifecycle events."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from app.settings.event_webhooks import event_webhooks

if TYPE_CHECKING:
    import httpx

    from app.history.factory import History
    from app.history.lifecycle.deliveries import Deliveries
    from app.history.lifecycle.webhooks import EventWebhooks
    from app.settings import Settings
    from app.telemetry.metrics import Metrics


def lifecycle_events(
    settings: Settings,
    client: httpx.AsyncClient,
    replica: str,
    history: History | None,
    metrics: Metrics,
) -> EventWebhooks | None:
    """The webhooks of lifecycle events; None where no receiver is configured."""
    if not settings.event_webhooks:
        return None
    from app.history.lifecycle.factory import (  # noqa: PLC0415 - only where it is configured
        Delivering,
        EventMeters,
        events_in_memory,
        stored_events,
    )
    from app.history.lifecycle.receiver import EventReceiver  # noqa: PLC0415

    receivers = [
        EventReceiver(
            spec.receiver,
            spec.url,
            spec.secret,
            None if isinstance(spec.events, str) else frozenset(map(str, spec.events)),
            spec.tenant,
        )
        for spec in event_webhooks(settings.event_webhooks)
    ]

    def counted(outcome: str, count: int) -> None:
        metrics.event_deliveries_total.labels(outcome).inc(count)

    meters = EventMeters(counted, lambda name, count: metrics.event_backlog.labels(name).set(count))
    delivering = Delivering(client, time)
    if history is None or history.database is None:
        return events_in_memory(receivers, delivering, meters=meters)
    return stored_events(
        receivers,
        history.database,
        delivering,
        replica=replica,
        content=settings.history_content,
        meters=meters,
    )


def stored_deliveries(history: History | None, events: EventWebhooks | None) -> Deliveries | None:
    """What lists deliveries and sends them again; None where no history keeps them."""
    if history is None or history.database is None:
        return None
    from app.history.lifecycle.deliveries import Deliveries  # noqa: PLC0415 - database

    return Deliveries(history.database, events, time)
