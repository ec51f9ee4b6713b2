"""The webhooks of lifecycle events in `/openapi.json`: one schema for each type."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, create_model

from app.relay.lifecycle import EventType

if TYPE_CHECKING:
    from fastapi import FastAPI


class SessionData(BaseModel):
    """What every event tells."""

    model_config = ConfigDict(extra="allow")

    session_id: str | None = Field(description="Of which session; null if of none")
    agent: str | None = Field(description="The session's agent; null if of none")
    tenant: str | None = Field(default=None, description="Whose session, where there are tenants")


class StartedData(SessionData):
    """A session began; upstream is about to be dialled."""

    call_type: str
    subject: str = Field(description="Who talks: the credential's subject")


class ApprovalData(BaseModel):
    """Who decided whether a tool may run."""

    state: str = Field(description="approved, or why not: declined, expired, too_large")
    by: str | None
    at: float = Field(description="Unix seconds")


class ToolFailedData(SessionData):
    """A tool call ended otherwise than with the tool's own result."""

    tool: str = Field(description="The name that the agent asked for, at most 128 characters")
    outcome: str = Field(
        description="timeout, crashed, tool_error, bad_args, unknown, fallback or busy"
    )
    approval: ApprovalData | None = Field(
        default=None, description="Who had let it run, where the tool needs an approval"
    )


class TakeoverData(SessionData):
    """A person speaks in a chat instead of its agent, or does no more."""

    operator: str
    since: float = Field(description="When that began, in Unix seconds")
    cause: str | None = Field(
        default=None,
        description="Why it ended: handed_back, lease_expired or session_ended",
    )


class GuardrailData(SessionData):
    """A guardrail blocked a text or a tool call, or ended a session; never what it judged."""

    guardrail: str
    on: str = Field(description="user, agent, tool_args or tool_result")
    action: str = Field(description="block or end")
    seconds: float = Field(description="How long it took to say so")
    error: str | None = Field(
        default=None, description="Why it could not be asked, if it could not"
    )
    tool: str | None = None


class BudgetData(SessionData):
    """A tenant has used so much of its minutes."""

    period: str = Field(description="day or month")
    percent: int
    minutes: float
    budget: float


class EndedData(SessionData):
    """A session is over on both sides."""

    call_type: str
    code: int = Field(description="The close code")
    reason: str = Field(description="The close code's name")
    seconds: float
    frames_in: int = Field(description="Frames from the browser")
    frames_out: int = Field(description="Frames to the browser")
    tool_calls: int
    tools_failed: int


Data = TypeVar("Data", bound=SessionData)


class Told(BaseModel, Generic[Data]):
    """One event: the payload that Standard Webhooks recommends."""

    type: str
    timestamp: datetime = Field(description="When it happened, ISO 8601 in UTC")
    data: Data


BODIES: Final[dict[EventType, Any]] = {
    EventType.SESSION_STARTED: Told[StartedData],
    EventType.TOOL_FAILED: Told[ToolFailedData],
    EventType.SESSION_ENDED: Told[EndedData],
    EventType.TAKEOVER_STARTED: Told[TakeoverData],
    EventType.TAKEOVER_ENDED: Told[TakeoverData],
    EventType.GUARDRAIL_BLOCKED: Told[GuardrailData],
    EventType.BUDGET_REACHED: Told[BudgetData],
}
SUMMARIES: Final = {
    EventType.SESSION_STARTED: "A session began",
    EventType.SESSION_RESUMED: "A browser came back to its session",
    EventType.SESSION_ENDED: "A session is over",
    EventType.TOOL_FAILED: "A tool call failed",
    EventType.TAKEOVER_STARTED: "An operator took a chat over",
    EventType.TAKEOVER_ENDED: "An operator handed a chat back",
    EventType.GUARDRAIL_BLOCKED: "A guardrail blocked a text or ended a session",
    EventType.BUDGET_REACHED: "A tenant has used so much of its budget",
}
HEADERS: Final = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "schema": {"type": "string"},
        "description": text,
    }
    for name, text in (
        ("webhook-id", "The delivery's id, the same for all tries and redeliveries"),
        ("webhook-timestamp", "When this try was made, in Unix seconds"),
        ("webhook-signature", "`v1,` and base64 of HMAC-SHA256; one for each secret, with spaces"),
    )
]
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Any 2xx: it was taken. 410: it is not tried again. Else it is retried."}
}


def describe(app: FastAPI) -> None:
    """Add the webhooks to an application's OpenAPI document."""
    for kind in EventType:
        _describe(app, kind)


def _describe(app: FastAPI, kind: EventType) -> None:
    name = "".join(part.title() for part in kind.value.split("."))
    only: Any = Literal[kind.value]
    fields: dict[str, Any] = {"type": (only, ...)}
    body = create_model(name, __base__=BODIES.get(kind, Told[SessionData]), **fields)

    async def told(body: Any) -> None:
        """Take one event, signed by Standard Webhooks."""

    told.__annotations__ = {"body": body, "return": None}
    app.webhooks.add_api_route(
        kind.value,
        told,
        methods=["POST"],
        name=kind.value,
        summary=SUMMARIES[kind],
        responses=RESPONSES,
        openapi_extra={"parameters": HEADERS},
    )
