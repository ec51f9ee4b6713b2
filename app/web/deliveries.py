"""What became of lifecycle events and results at the receivers of webhooks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException

from app.web.actor import actor_of
from app.web.history_answers import history_answers

if TYPE_CHECKING:  # where history is off, the database layer is not imported
    from app.history.lifecycle.deliveries import Deliveries
    from app.web.audit import Audit

OFF = "Deliveries are kept in the history database: RELAY_HISTORY_URL is not set."
ABSENT = "There is no such delivery."


def routes(deliveries: Deliveries | None, audit: Audit) -> APIRouter:
    """`/v1/deliveries` and what is below it."""
    router = APIRouter(tags=["deliveries"])

    def there() -> Deliveries:
        if deliveries is None:
            raise HTTPException(404, OFF)
        return deliveries

    @router.get("/v1/deliveries")
    async def list_deliveries(
        request: Request,
        status: Literal["waiting", "delivered", "given_up"] | None = None,
        receiver: Annotated[str | None, Query(max_length=320)] = None,
        cursor: Annotated[str | None, Query(max_length=512)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """List deliveries of events and results, the latest first, without their bodies."""
        from app.history.lifecycle.deliveries import DeliveryFilters  # noqa: PLC0415 - database

        kept = there()
        with history_answers():
            filters = DeliveryFilters(status, receiver, actor_of(request).tenant)
            page = await kept.page(filters, cursor, limit)
        return {"deliveries": [asdict(row) for row in page.items], "next": page.next}

    @router.post("/v1/deliveries/{delivery_id}/redeliver", status_code=202)
    async def redeliver(delivery_id: str, request: Request) -> dict[str, Any]:
        """Send one again under the same webhook id: at once, then as any new one."""
        kept, actor = there(), actor_of(request)
        with history_answers():
            found = await kept.redeliver(delivery_id, actor.tenant)
        if found is None:
            raise HTTPException(404, ABSENT)
        await audit.record(actor, "delivery.redeliver", found.session_id or found.id)
        return asdict(found)

    return router
