"""For balancers and Prometheus: is this process alive, does it take sessions, what it counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.gateway.gateway import Gateway
from app.protocol.errors import StoreUnavailable
from app.state.interface import State
from app.telemetry.metrics import Metrics
from app.upstream.probe import UpstreamProbe

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class Upstream(BaseModel):
    """What the last look at the vendor's info page saw; it makes no replica unready.

    `checked` is how many seconds ago that was.
    """

    reachable: bool
    status: str
    checked: float


class Readiness(BaseModel):
    """Whether new sessions are taken; if not, `reason` is the first of the `reasons`.

    `upstream` is there where RELAY_UPSTREAM_PROBE_INTERVAL is set; null before the first look.
    """

    status: str
    sessions: int
    limits: dict[str, int]
    open_circuits: list[str] | None = None
    reason: str | None = None
    reasons: list[str] | None = None
    advice: str | None = None
    upstream: Upstream | None = None


def health_routes(
    gateway: Gateway, state: State, metrics: Metrics, probe: UpstreamProbe | None
) -> APIRouter:
    """`/healthz` and `/readyz`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """200 while the loop turns."""
        return {"status": "ok"}

    @router.get(
        "/readyz",
        responses={
            200: {"model": Readiness},
            503: {"model": Readiness, "description": "Not ready; `reason` says why."},
        },
    )
    async def readyz() -> Response:
        """200 while new sessions are taken, else 503 with the reasons.

        `open_circuits` names agents for whom the vendor is not tried for now.
        """
        reasons, advice = await judge_readiness(gateway, state, metrics)
        content: dict[str, Any] = {
            "status": "unready" if reasons else "ready",
            "sessions": len(gateway.live),
            "limits": {"max_sessions": gateway.max_sessions},
        }
        if gateway.open_circuits:
            content |= {"open_circuits": gateway.open_circuits}
        if probe is not None:
            content["upstream"] = _upstream(probe)
        if reasons:
            content |= {"reason": reasons[0], "reasons": reasons}
        if advice is not None:
            content["advice"] = advice
        return JSONResponse(content, 503 if reasons else 200, headers={"cache-control": "no-store"})

    return router


async def judge_readiness(
    gateway: Gateway, state: State, metrics: Metrics
) -> tuple[list[str], str | None]:
    """Why no new sessions are taken, and the metric of it; nothing where they are.

    Also what is wrong with the store, where that is known.
    """
    reasons, advice = [], None
    if gateway.draining:
        reasons.append("draining")
    if gateway.is_full:
        reasons.append("overloaded")
    try:
        await state.ping()
    except StoreUnavailable as lost:
        reasons.append("state_lost")
        advice = lost.advice
    if gateway.all_circuits_open:
        reasons.append("upstream_circuit_open")
    metrics.ready.set(0 if reasons else 1)
    return reasons, advice


def _upstream(probe: UpstreamProbe) -> dict[str, Any] | None:
    if probe.seen is None or probe.age is None:
        return None
    seen = probe.seen
    return {"reachable": seen.reachable, "status": seen.status, "checked": round(probe.age, 1)}


def metrics_routes(text: Callable[[], Awaitable[bytes]]) -> APIRouter:
    """`/metrics`; `text` is what it answers."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics")
    async def exposition() -> Response:
        """Everything that is counted, in Prometheus' text format."""
        return Response(await text(), media_type=EXPOSITION)

    return router
