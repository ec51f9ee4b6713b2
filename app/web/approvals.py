"""Tool calls that wait for an operator's approval, of every replica."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.gateway.approvals import ApprovalBoard
from app.protocol.approval import ApprovalRequest
from app.protocol.control import MAX_OPERATOR, Decide
from app.web.actor import Actor, Role, actor_of
from app.web.bodies import BoundedRoute, too_large
from app.web.control import Control, unicode_text

MAX_ID: Final = 256


class ApprovalBody(BaseModel):
    """Whether the call may run, and who says so; by default who sends the request."""

    model_config = ConfigDict(extra="forbid", strict=True)

    approve: bool
    by: Annotated[str, Field(min_length=1)] | None = None

    @field_validator("by")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        if value is not None and (not unicode_text(value).strip() or not value.isprintable()):
            raise ValueError("must be a name without control characters")
        return value


def routes(board: ApprovalBoard, control: Control) -> APIRouter:
    """`/v1/approvals`."""
    router = APIRouter(tags=["approvals"], route_class=BoundedRoute)

    @router.get("/v1/approvals")
    async def list_approvals(
        request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 100
    ) -> dict[str, Any]:
        """List the calls that wait for an operator on any replica, the oldest first."""
        actor = actor_of(request)
        waiting = [
            _shown(asked, actor)
            for asked in await board.listed()
            if actor.tenant is None or asked.tenant == actor.tenant
        ]
        return {"approvals": waiting[:limit]}

    @router.post("/v1/approvals/{session_id}/{call_id:path}", response_model=None)
    async def decide(
        session_id: str, call_id: str, body: ApprovalBody, request: Request
    ) -> Response:
        """Let a call run, or have the agent told that it may not; the first decision stands."""
        actor = actor_of(request)
        by = actor.name if actor.is_person else body.by or actor.name
        if len(by.encode()) > MAX_OPERATOR:
            return too_large("by", MAX_OPERATOR)
        attempt = control.begin(request, body)
        if isinstance(attempt, Response):
            return attempt
        command = Decide(attempt.id, call_id, body.approve, by)
        action = "approval.approve" if body.approve else "approval.decline"
        return await control.run(
            actor, session_id, attempt, command, action, call=call_id[:MAX_ID], by=by
        )

    return router


def _shown(asked: ApprovalRequest, actor: Actor) -> dict[str, Any]:
    """A call as its approver sees it; one who may only look sees no arguments."""
    shown = asked.to_json()
    del shown["decider"]
    if not actor.content and actor.role < Role.OPERATOR:
        del shown["args"]
    return shown
