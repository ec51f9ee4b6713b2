"""Backends and operators speak into live sessions, take them over, and end them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.cluster.control import SessionCommands
from app.protocol.control import (
    ABSENT,
    END_REASONS,
    EVENT_NAME,
    MAX_CONTENT,
    MAX_EVENT_DATA,
    MAX_OPERATOR,
    MAX_SENTENCE,
    RESERVED_EVENTS,
    Answer,
    As,
    Command,
    Emit,
    Finish,
    Say,
)
from app.state.interface import SessionRow
from app.web.actor import Actor, Role, actor_of
from app.web.audit import Audit
from app.web.bodies import BoundedRoute, JsonObject, too_large
from app.web.idempotency import Attempt, Idempotency
from app.web.problems import Problem
from blackbox_relay import exact_json

SESSION: Final = r"/v1/sessions/{session_id}"
VIEWER: Final = "This needs the role operator."


def unicode_text(value: str) -> str:
    """Refuse what is no text, such as half of a surrogate pair (RFC 8259 section 8.2)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is no Unicode text") from None
    return value


def operator_name(actor: Actor, given: str, most: Role) -> str:
    """Who speaks: a person who has signed in only in their own name, up to this role."""
    if not actor.is_person or actor.role > most:
        return given
    return actor.name.encode()[:MAX_OPERATOR].decode(errors="ignore")


class MessageBody(BaseModel):
    """What is said, and in whose name. `operator`: who says it, where a person has taken over."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    content: Annotated[str, Field(min_length=1)]
    role: Annotated[As, Field(alias="as")]
    speaker: Literal["", "backend", "operator"] = ""
    operator: str = ""

    _is_text = field_validator("content", "operator")(unicode_text)


class EventBody(BaseModel):
    """An event `relay.<name>` for the page."""

    model_config = ConfigDict(extra="forbid")

    name: str
    data: JsonObject = {}

    @field_validator("name")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if EVENT_NAME.fullmatch(value) is None:
            raise ValueError("must be 1 to 32 of a-z 0-9 _ and begin with a letter")
        if value in RESERVED_EVENTS:
            raise ValueError("is a name of the gateway's own")
        return value

    @field_validator("data")
    @classmethod
    def _is_json(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            exact_json.dumps(value)
        except (TypeError, ValueError):
            raise ValueError("cannot be written as JSON") from None
        return value


class EndBody(BaseModel):
    """How a conversation ends: a sentence for the page, and the close code."""

    model_config = ConfigDict(extra="forbid")

    message: str = ""
    code: int = 1000

    _is_text = field_validator("message")(unicode_text)

    @field_validator("code")
    @classmethod
    def _is_known(cls, value: int) -> int:
        if value not in END_REASONS:
            raise ValueError(f"must be one of {', '.join(map(str, sorted(END_REASONS)))}")
        return value


class Control:
    """What the routes share: who may, what was asked before, and who is told afterwards.

    `find` looks a session up: another tenant's does not exist.
    """

    def __init__(
        self,
        commands: SessionCommands,
        idempotency: Idempotency,
        audit: Audit,
        find: Callable[[str], Awaitable[SessionRow | None]],
    ) -> None:
        self._commands = commands
        self._find = find
        self._idempotency = idempotency
        self._audit = audit

    def begin(self, request: Request, body: BaseModel | None) -> Attempt | Response:
        """Read who asks and by which key, or refuse."""
        actor = actor_of(request)
        if actor.role < Role.OPERATOR:
            return Problem(403, "Forbidden", VIEWER)
        asked = None if body is None else body.model_dump(mode="json")
        attempt = self._idempotency.attempt(request, actor, asked)
        return response(attempt) if isinstance(attempt, Answer) else attempt

    async def run(
        self,
        actor: Actor,
        session_id: str,
        attempt: Attempt,
        command: Command,
        action: str,
        **details: str,
    ) -> Response:
        """Carry a command out once, and write it into the audit log."""

        async def work() -> Answer:
            if actor.tenant is not None:
                row = await self._find(session_id)
                if row is None or row.tenant != actor.tenant:
                    return ABSENT
            answer = await self._commands.run(session_id, command)
            if not (answer.is_refusal or answer.body.get("renewed")):
                await self._audit.record(actor, action, session_id, **details)
            return answer

        return response(await self._idempotency.once(attempt, work))


def _too_long(body: MessageBody) -> Response | None:
    for name, limit in (("content", MAX_CONTENT), ("operator", MAX_OPERATOR)):
        if len(getattr(body, name).encode()) > limit:
            return too_large(name, limit)
    return None


def response(answer: Answer) -> Response:
    """An answer over HTTP; a refusal is a problem (RFC 9457)."""
    if not answer.is_refusal:
        return (
            JSONResponse(dict(answer.body), answer.status)
            if answer.body
            else Response(status_code=answer.status)
        )
    more = dict(answer.body)
    headers = {"retry-after": "1"} if answer.status in {429, 503, 504} else {}
    return Problem(answer.status, more.pop("title"), more.pop("detail"), headers, **more)


def routes(control: Control) -> APIRouter:
    """What is below `/v1/sessions/{id}` and changes it."""
    router = APIRouter(tags=["sessions"], route_class=BoundedRoute)

    @router.post(SESSION + "/messages", status_code=202, response_model=None)
    async def say(session_id: str, body: MessageBody, request: Request) -> Response:
        """Speak into a session: as its user, as its agent, or by a notice for the page alone."""
        refusal = _too_long(body)
        if refusal is not None:
            return refusal
        body.operator = operator_name(actor_of(request), body.operator, Role.ADMIN)
        attempt = control.begin(request, body)
        if isinstance(attempt, Response):
            return attempt
        command = Say(attempt.id, body.role.value, body.content, body.speaker, body.operator)
        return await control.run(
            actor_of(request), session_id, attempt, command, "session.message", role=body.role.value
        )

    @router.post(SESSION + "/events", status_code=202, response_model=None)
    async def emit(session_id: str, body: EventBody, request: Request) -> Response:
        """Send the page an event of the backend's own."""
        if len(exact_json.dumps(body.data)) > MAX_EVENT_DATA:
            return too_large("data", MAX_EVENT_DATA)
        attempt = control.begin(request, body)
        if isinstance(attempt, Response):
            return attempt
        command = Emit(attempt.id, body.name, body.data)
        return await control.run(
            actor_of(request), session_id, attempt, command, "session.event", name=body.name
        )

    @router.delete(SESSION, status_code=204, response_model=None)
    async def end_session(
        session_id: str, request: Request, body: EndBody | None = None
    ) -> Response:
        """End a session, whichever replica has it."""
        body = body or EndBody()
        if len(body.message.encode()) > MAX_SENTENCE:
            return too_large("message", MAX_SENTENCE)
        attempt = control.begin(request, body)
        if isinstance(attempt, Response):
            return attempt
        command = Finish(attempt.id, body.code, body.message)
        return await control.run(
            actor_of(request), session_id, attempt, command, "session.end", code=str(body.code)
        )

    return router
