"""Minting tickets: how a backend lets one of its users in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.auth.proxies import TrustedProxies
from app.auth.ticket import DEFAULT_TTL, MAX_TTL, TicketRequest, Tickets
from app.protocol.close_codes import NO_SUCH_AGENT
from app.protocol.errors import Refusal
from app.protocol.initialize import Profile
from app.protocol.principal import CallType
from app.web.actor import actor_of
from app.web.bodies import JsonObject
from app.web.problems import Problem
from app.web.tenancy import visible_profiles


class TicketBody(BaseModel):
    """Whom a ticket is for, and what it pins."""

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[str, Field(min_length=1, max_length=256)]
    agent: Annotated[str | None, Field(max_length=64)] = None
    call_type: CallType | None = None
    endpoint: Annotated[str | None, Field(max_length=256)] = None
    additional_data: JsonObject = {}
    origin: Annotated[str | None, Field(max_length=256)] = None
    ttl: Annotated[float, Field(gt=0, le=MAX_TTL)] = DEFAULT_TTL


class TicketAnswer(BaseModel):
    """A ticket: good for one connection until `expires_at`; `url` has it in its query.

    `id` names it for `POST /v1/revocations`, and is good for nothing else.
    """

    id: str
    ticket: str
    expires_at: datetime
    url: str


def routes(tickets: Tickets, agents: Mapping[str, Profile], proxies: TrustedProxies) -> APIRouter:
    """`POST /v1/tickets`."""
    router = APIRouter(tags=["tickets"])

    @router.post("/v1/tickets", status_code=201, response_model=TicketAnswer)
    async def mint(body: TicketBody, request: Request, response: Response) -> Any:
        """Mint a ticket for one of the backend's users."""
        tenant = actor_of(request).tenant
        if body.agent is not None:
            profile = visible_profiles(request, agents).get(body.agent)
            if profile is None:
                raise Refusal(NO_SUCH_AGENT)
            tenant = profile.tenant
        try:
            wanted = TicketRequest(
                subject=body.subject,
                agent=body.agent,
                call_type=body.call_type,
                endpoint=body.endpoint,
                additional_data=body.additional_data,
                origin=body.origin,
                ttl=body.ttl,
                tenant=tenant,
            )
        except ValueError as fault:
            return Problem(422, "invalid", str(fault))
        ticket = await tickets.mint(wanted)
        secret = ticket.ticket.get_secret_value()
        response.headers["cache-control"] = "no-store"
        return TicketAnswer(
            id=ticket.id,
            ticket=secret,
            expires_at=datetime.fromtimestamp(ticket.expires_at, UTC),
            url=f"{_base(request, proxies)}/ws{_path(body.agent)}?ticket={quote(secret)}",
        )

    return router


def _base(request: Request, proxies: TrustedProxies) -> str:
    headers = {name.lower(): value for name, value in request.headers.items()}
    address = request.client.host if request.client else ""
    peer = proxies.peer(address, request.url.scheme, headers)
    scheme = "wss" if peer.scheme == "https" else "ws"
    return f"{scheme}://{peer.host or request.headers.get('host', '')}"


def _path(agent: str | None) -> str:
    return "" if agent is None else f"/{quote(agent, safe='')}"
