"""`GET /v1/audit`: who did what, for admins; where history is on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException

from app.web.actor import actor_of
from app.web.history_answers import history_answers

if TYPE_CHECKING:  # where history is off, the database layer is not imported
    from app.history.audit import AuditLog

Text = Annotated[str | None, Query(max_length=512)]


def routes(store: AuditLog | None) -> APIRouter:
    """`GET /v1/audit`."""
    router = APIRouter(tags=["audit"])

    @router.get("/v1/audit")
    async def list_audit(
        request: Request,
        actor: Text = None,
        action: Text = None,
        target: Text = None,
        since: float | None = None,
        until: float | None = None,
        cursor: Text = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> dict[str, Any]:
        """List entries, the latest first. `since` and `until` are Unix seconds."""
        if store is None:
            raise HTTPException(
                404, "The audit log is in the logs alone: RELAY_HISTORY_URL is not set."
            )
        from app.history.audit import AuditFilters  # noqa: PLC0415 - see above

        filters = AuditFilters(actor, action, target, actor_of(request).tenant, since, until)
        with history_answers():
            page = await store.entries(filters, cursor, limit)
        return {"entries": [asdict(entry) for entry in page.items], "next": page.next}

    return router
