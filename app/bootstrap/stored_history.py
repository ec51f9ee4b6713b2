"""From settings to history and results.

What is not configured is not imported either: the database layer would take
longer to load than all the rest, at every start of every replica.
"""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

    from app.history.factory import History
    from app.protocol.redaction import Redaction
    from app.settings import Settings
    from app.state.interface import Journal
    from app.telemetry.metrics import Metrics


def history(
    settings: Settings,
    client: httpx.AsyncClient,
    replica: str,
    metrics: Metrics,
    journal: Journal | None,
    redaction: Redaction | None,
) -> History | None:
    """History and results, as far as they are configured. Raises ConfigurationError."""
    if settings.history_url is None and settings.result_webhook_url is None:
        return None
    from app.history.factory import (  # noqa: PLC0415 - see above
        Clocks,
        Meters,
        Webhook,
        results_alone,
        stored_history,
    )

    clocks = Clocks(monotonic, time)
    meters = Meters(
        on_dropped=lambda count: metrics.history_dropped_total.labels("record").inc(count),
        on_delivery=lambda delivery: metrics.results_total.labels(delivery.value).inc(),
        on_results_lost=lambda count: metrics.history_dropped_total.labels("result").inc(count),
    )
    webhook = None
    if settings.result_webhook_url and settings.result_webhook_secret:
        url = SecretStr(settings.result_webhook_url)
        webhook = Webhook(url, settings.result_webhook_secret, client)
    if settings.history_url is not None:
        try:
            return stored_history(
                settings.history_url,
                clocks,
                replica=replica,
                days=settings.history_days,
                audit_days=settings.audit_days,
                content=settings.history_content,
                webhook=webhook,
                meters=meters,
                journal=journal,
                redaction=redaction,
            )
        except ValueError as fault:
            raise ConfigurationError([f"RELAY_HISTORY_URL {fault}"]) from None
    return (
        None
        if webhook is None
        else results_alone(webhook, clocks, meters=meters, redaction=redaction)
    )
