"""Operators take a live chat over, and hand it back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.protocol.control import MAX_OPERATOR, MAX_SUMMARY, HandBack, TakeOver
from app.web.actor import Role, actor_of
from app.web.bodies import BoundedRoute, too_large
from app.web.control import SESSION, Control, operator_name, unicode_text


class TakeoverBody(BaseModel):
    """Who takes over: a name that the page may show."""

    model_config = ConfigDict(extra="forbid")

    operator: Annotated[str, Field(min_length=1)]

    @field_validator("operator")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not unicode_text(value).strip() or not value.isprintable():
            raise ValueError("must be a name without control characters")
        return value.strip()


class HandBackBody(BaseModel):
    """What the agent is told; without a summary, what was said."""

    model_config = ConfigDict(extra="forbid")

    summary: str = ""
    operator: str = ""

    _is_text = field_validator("summary", "operator")(unicode_text)


def routes(control: Control) -> APIRouter:
    """`/v1/sessions/{id}/takeover`."""
    router = APIRouter(tags=["sessions"], route_class=BoundedRoute)

    @router.put(SESSION + "/takeover", response_model=None)
    @router.post(SESSION + "/takeover", response_model=None)
    async def take_over(session_id: str, body: TakeoverBody, request: Request) -> Response:
        """Let a person speak in a chat instead of its agent; the same person renews the lease."""
        if len(body.operator.encode()) > MAX_OPERATOR:
            return too_large("operator", MAX_OPERATOR)
        body.operator = operator_name(actor_of(request), body.operator, Role.ADMIN)
        attempt = control.begin(request, body)
        if isinstance(attempt, Response):
            return attempt
        command = TakeOver(attempt.id, body.operator)
        return await control.run(
            actor_of(request),
            session_id,
            attempt,
            command,
            "takeover.start",
            operator=body.operator,
        )

    @router.delete(SESSION + "/takeover", response_model=None)
    async def hand_back(
        session_id: str, request: Request, body: HandBackBody | None = None
    ) -> Response:
        """Let the agent speak again, and tell it what was said, or a summary of it."""
        body = body or HandBackBody()
        if len(body.summary.encode()) > MAX_SUMMARY:
            return too_large("summary", MAX_SUMMARY)
        body.operator = operator_name(actor_of(request), body.operator, Role.OPERATOR)
        attempt = control.begin(request, body)
        if isinstance(attempt, Response):
            return attempt
        command = HandBack(attempt.id, body.summary, body.operator)
        return await control.run(actor_of(request), session_id, attempt, command, "takeover.end")

    return router
