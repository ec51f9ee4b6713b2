"""Phone conversations without a browser, started by a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import time
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from app.cluster.replicas import Replicas
from app.gateway.admission import AdmissionRequest
from app.gateway.calls import CallBook
from app.protocol.call_record import CallRecord, CallStatus, with_urls
from app.protocol.close_codes import FORBIDDEN, NO_SUCH_AGENT
from app.protocol.errors import Refusal, StoreUnavailable
from app.protocol.initialize import ClientOptions, Profile, may_dial, resolve_initialize
from app.protocol.principal import CallType, Principal
from app.protocol.routing import served
from app.telemetry.traces import Traces
from app.upstream.calls import VendorCalls
from app.web.actor import actor_of
from app.web.agents import DEFAULT_AGENT, default_profile
from app.web.call_bodies import (
    BACKEND,
    BulkAnswer,
    BulkBody,
    BulkResult,
    CallAnswer,
    CallBody,
    CallView,
    shown,
)
from app.web.problems import Problem, problem_for
from app.web.tenancy import visible, visible_profiles

ABSENT: Final = "There is no such call, or it ended more than a day ago."
RUNNING: Final = "The call is in progress: end it by DELETE /v1/sessions/{id}."
OVER: Final = "The call is over."
ONLY_DEV: Final = (
    "priority, call_deadline, timezone and override_outbound_config need RELAY_UPSTREAM=dev"
)
# Its owner publishes the end of a session before it writes what became of the call.
SETTLING: Final = 2.0
LOOK_EVERY: Final = 0.1


@dataclass(frozen=True, slots=True)
class Calls:
    """Starts, shows and cancels calls."""

    replicas: Replicas
    profiles: Mapping[str, Profile]
    traces: Traces
    book: CallBook
    vendor: VendorCalls

    async def start(self, body: CallBody, request: Request) -> str:
        """Start one; returns its session's id. Raises Refusal, or ValueError fit to be shown."""
        known = visible_profiles(request, self.profiles)
        tenant = actor_of(request).tenant
        if body.agent is None and tenant is not None:
            profile = default_profile(known, tenant)
        else:
            profile = known.get(body.agent or DEFAULT_AGENT)
        if profile is None:
            raise Refusal(NO_SUCH_AGENT)
        asked, profile = profile.name, served(self.profiles, profile, body.subject)
        if not may_dial(profile, body.endpoint):
            raise Refusal(FORBIDDEN, "This number may not be dialled.")
        own = body.vendor_fields()
        if own and profile.request_field != "devRequest":
            raise ValueError(ONLY_DEV)
        profile = replace(profile, initialize={**profile.initialize, **own})
        principal = Principal(
            body.subject,
            BACKEND,
            agent=asked,
            call_type=CallType.ON_PHONE,
            endpoint=body.endpoint,
            additional_data=body.additional_data,
            tenant=profile.tenant,
        )
        resolve_initialize(profile, principal, ClientOptions())
        arrival = AdmissionRequest(
            address=BACKEND if profile.tenant is None else f"{BACKEND}/{profile.tenant}",
            client_options=ClientOptions("onPhone"),
            trace=self.traces.begin(),
            native=False,
            vendor_path=False,
        )
        gateway = self.replicas.gateway
        admission = await gateway.admit(profile, principal, arrival)
        session = admission.conversation
        served_by = session.profile
        record = CallRecord(
            session.id, served_by.name, body.endpoint, session.started_at, tenant=served_by.tenant
        )
        try:
            await self.book.created(record)
        except BaseException:
            await gateway.release(admission)
            raise
        self.book.follow(gateway.start(admission, None), record)
        return session.id

    async def attempt(self, body: CallBody, request: Request) -> BulkResult:
        """Start one of many; what goes wrong is its own result."""
        try:
            return BulkResult(status=201, session_id=await self.start(body, request))
        except Refusal as refusal:
            problem = problem_for(refusal)
        except StoreUnavailable:
            problem = Problem(503, "overloaded", "The state store does not answer.")
        except ValueError as fault:
            problem = Problem(422, "invalid", str(fault))
        return BulkResult(status=problem.status_code, problem=problem.document)

    async def found(self, session_id: str, request: Request) -> CallRecord | None:
        """A call as it is now: one whose replica died has failed. None for another tenant's."""
        record = await self.book.find(session_id)
        if record is not None and not visible(request, record.tenant):
            return None
        deadline = time() + SETTLING
        while record is not None and record.is_live:
            if await self.replicas.find(session_id) is not None:
                return record
            if time() > deadline:
                return replace(record, status=CallStatus.FAILED, error="lost")
            await asyncio.sleep(LOOK_EVERY)
            record = await self.book.find(session_id)
        return record

    async def completed(self, record: CallRecord) -> CallRecord:
        """Ask the vendor for the inspector's URL, where frames did not tell it."""
        if record.vendor_call_id is None or record.inspector_url is not None:
            return record
        said = await self.vendor.look_up(record.agent, record.vendor_call_id)
        known = with_urls(record, said)
        if known != record and not record.is_live:
            self.book.update(known)
        return known


def routes(calls: Calls) -> APIRouter:
    """`/v1/calls` and what is below it."""
    router = APIRouter(tags=["calls"])

    @router.post("/v1/calls", status_code=201, response_model=CallAnswer)
    async def call(body: CallBody, request: Request) -> Any:
        """Start a phone conversation that no browser takes part in."""
        try:
            return CallAnswer(session_id=await calls.start(body, request))
        except ValueError as fault:
            return Problem(422, "invalid", str(fault))

    @router.post("/v1/calls/bulk")
    async def bulk(body: BulkBody, request: Request) -> BulkAnswer:
        """Start up to 100 calls, one after the other; each has its own result."""
        return BulkAnswer(results=[await calls.attempt(one, request) for one in body.calls])

    @router.get("/v1/calls/{session_id}", response_model=CallView)
    async def show(session_id: str, request: Request) -> Any:
        """Show a call: its status, and the vendor's id and inspector where they are known."""
        record = await calls.found(session_id, request)
        if record is None:
            return Problem(404, "no_such_call", ABSENT)
        return shown(await calls.completed(record))

    @router.delete("/v1/calls/{session_id}", status_code=204)
    async def cancel(session_id: str, request: Request) -> Response:
        """Cancel a call that is not picked up yet."""
        record = await calls.found(session_id, request)
        if record is None:
            return Problem(404, "no_such_call", ABSENT)
        if record.status is CallStatus.RUNNING:
            return Problem(409, "in_progress", RUNNING)
        if not record.is_live or not await calls.replicas.end(session_id):
            return Problem(409, "over", OVER)
        return Response(status_code=204)

    return router
