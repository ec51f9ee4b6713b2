"""Phone conversations without a browser, started by a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from app.gateway.admission import AdmissionRequest
from app.gateway.gateway import Gateway
from app.protocol.close_codes import FORBIDDEN, NO_SUCH_AGENT
from app.protocol.errors import Refusal
from app.protocol.initialize import ClientOptions, Profile, may_dial, resolve_initialize
from app.protocol.principal import CallType, Principal
from app.telemetry.traces import Traces

BACKEND = "backend"


class CallBody(BaseModel):
    """Whom to call, by which agent, and what the agent is told."""

    model_config = ConfigDict(extra="forbid")

    endpoint: Annotated[str, Field(min_length=1, max_length=256)]
    agent: Annotated[str, Field(max_length=64)] = "default"
    subject: Annotated[str, Field(min_length=1, max_length=256)] = BACKEND
    additional_data: dict[str, Any] = {}


class CallAnswer(BaseModel):
    """The session: watched and ended like any other."""

    session_id: str


def routes(gateway: Gateway, profiles: Mapping[str, Profile], traces: Traces) -> APIRouter:
    """`POST /v1/calls`."""
    router = APIRouter(tags=["calls"])

    @router.post("/v1/calls", status_code=201)
    async def call(body: CallBody) -> CallAnswer:
        """Start a phone conversation that no browser takes part in."""
        profile = profiles.get(body.agent)
        if profile is None:
            raise Refusal(NO_SUCH_AGENT)
        if not may_dial(profile, body.endpoint):
            raise Refusal(FORBIDDEN, "This number may not be dialled.")
        principal = Principal(
            body.subject,
            BACKEND,
            agent=profile.name,
            call_type=CallType.ON_PHONE,
            endpoint=body.endpoint,
            additional_data=body.additional_data,
        )
        resolve_initialize(profile, principal, ClientOptions())
        arrival = AdmissionRequest(
            address=BACKEND,
            client_options=ClientOptions("onPhone"),
            trace=traces.begin(),
            native=False,
            vendor_path=False,
        )
        admission = await gateway.admit(profile, principal, arrival)
        gateway.start(admission, None)
        return CallAnswer(session_id=admission.conversation.id)

    return router
