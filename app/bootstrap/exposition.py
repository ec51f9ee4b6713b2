"""What `/metrics` answers: this process's text, or that of all workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.web.health import judge_readiness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.bootstrap.worker import Worker
    from app.bootstrap.worker_metrics import WorkerMetrics
    from app.gateway.gateway import Gateway
    from app.history.factory import History
    from app.state.interface import State
    from app.telemetry.metrics import Metrics

    Exposition = Callable[[], Awaitable[bytes]]


def exposition_of(
    worker: Worker | None,
    gateway: Gateway,
    state: State,
    metrics: Metrics,
    history: History | None,
) -> tuple[Exposition, WorkerMetrics | None]:
    """The answer, and what makes it where there are other workers."""

    async def own() -> bytes:
        return metrics.exposition()

    if worker is None:
        return own, None
    from app.bootstrap.worker_metrics import WorkerMetrics  # noqa: PLC0415 - only where there are

    async def judged() -> bytes:
        await judge_readiness(gateway, state, metrics)  # balancers look at one worker alone
        return metrics.exposition()

    stored = history is not None and history.database is not None
    # With history the backlog is that of the common database, whichever worker says it.
    greatest = ("relay_event_backlog",) if stored else ()
    shared = WorkerMetrics(worker.directory, judged, greatest)
    return shared.exposition, shared
