"""What the vendor sends that the gateway does not know, by shape: for operators to pass on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from app.telemetry.drift import DriftLog


class Shape(BaseModel):
    """Names and types of one frame, never its values; times are Unix seconds."""

    kind: str
    shape: dict[str, Any]
    count: int
    first_seen: float
    last_seen: float


class Drift(BaseModel):
    """The shapes that this replica has seen since it started; `omitted` frames were not kept."""

    shapes: list[Shape]
    omitted: int


def routes(drift: DriftLog) -> APIRouter:
    """`GET /v1/drift`."""
    router = APIRouter(tags=["drift"])

    @router.get("/v1/drift")
    async def shapes() -> Drift:
        """Unknown types, fields and events of the vendor, as this replica saw them."""
        return Drift.model_validate(drift.view())

    return router
