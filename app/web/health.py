"""For balancers and Prometheus: is this process alive, does it take sessions, what it counts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from app.errors import StateLost
from app.gateway import Gateway
from app.state.port import State
from app.telemetry.metrics import Metrics

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def health_routes(gateway: Gateway, state: State, metrics: Metrics) -> APIRouter:
    """`/healthz` and `/readyz`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """200 while the loop turns."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"description": "Not ready; `reason` says why."}})
    async def readyz() -> Response:
        """200 while new sessions are taken, else 503 with the reasons.

        `open_circuits` names agents for whom the vendor is not tried for now.
        """
        reasons = await _reasons(gateway, state)
        metrics.ready.set(0 if reasons else 1)
        content: dict[str, Any] = {
            "status": "unready" if reasons else "ready",
            "sessions": len(gateway.live),
            "limits": {"max_sessions": gateway.max_sessions},
        }
        if gateway.open_circuits:
            content |= {"open_circuits": gateway.open_circuits}
        if reasons:
            content |= {"reason": reasons[0], "reasons": reasons}
        return JSONResponse(content, 503 if reasons else 200, headers={"cache-control": "no-store"})

    return router


async def _reasons(gateway: Gateway, state: State) -> list[str]:
    reasons = []
    if gateway.draining:
        reasons.append("draining")
    if gateway.full:
        reasons.append("overloaded")
    try:
        await state.ping()
    except StateLost:
        reasons.append("state_lost")
    if gateway.cut_off:
        reasons.append("upstream_circuit_open")
    return reasons


def metrics_routes(metrics: Metrics) -> APIRouter:
    """`/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics")
    async def exposition() -> Response:
        """Everything that is counted, in Prometheus' text format."""
        return Response(metrics.exposition(), media_type=EXPOSITION)

    return router
