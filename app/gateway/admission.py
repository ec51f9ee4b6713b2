"""Admission: what is known of a browser before its conversation begins."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Final

from app.backoff import between
from app.protocol.close_codes import NO_SUCH_AGENT, UPSTREAM_FAILED
from app.protocol.errors import Refusal
from app.protocol.initialize import resolve_initialize
from app.protocol.principal import CallType
from app.protocol.routing import standing_in
from app.relay.dependencies import Conversation
from app.state.interface import SessionRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.protocol.initialize import ClientOptions, Profile
    from app.protocol.principal import Principal
    from app.relay.dependencies import RelayDependencies
    from app.telemetry.traces import Trace

INITIALIZE_GRACE: Final = 1.0


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """How many sessions a replica takes, and how it drains; durations in seconds.

    - `max_sessions`: live sessions of this replica; more are refused with 503 or 4503.
    - `per_subject`, `per_address`: live sessions over all replicas; more get 429 or 4429.
    - `initialize_timeout`: how long an `initialize` of the browser's own is waited for.
    - `drain_delay`: how long a draining replica still takes sessions, until load balancers know.
    - `drain_timeout`: how long live sessions may go on after that; idle chats half of it.
    """

    max_sessions: int
    per_subject: int
    per_address: int
    initialize_timeout: float
    drain_delay: float
    drain_timeout: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """A slot reserved for one browser, before its socket is accepted.

    `dependencies` are its agent's as they were then: agents may change meanwhile.
    """

    conversation: Conversation
    row: SessionRow
    dependencies: RelayDependencies


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """What is known of a browser that asks to be admitted.

    `sends_initialize` is set by a browser that announces an `initialize` of its own.
    `native` browsers speak `blackbox-relay.v1` and may resume; `vendor_path` ones came by the
    vendor's own path and must send an `initialize` of their own. `turn` is what one was given that
    had waited for an upstream session on a replica that went away.
    """

    address: str
    client_options: ClientOptions
    trace: Trace
    native: bool
    vendor_path: bool
    sends_initialize: bool = False
    turn: str | None = None


def reachable(
    profile: Profile,
    principal: Principal,
    options: ClientOptions,
    dependencies: Mapping[str, RelayDependencies],
) -> Profile:
    """The profile, or its fallback while the circuit of its upstream is open. Raises `Refusal`."""
    if profile.name not in dependencies:
        raise Refusal(NO_SUCH_AGENT)
    retry_in = dependencies[profile.name].circuit.retry_in
    if retry_in <= 0:
        return profile
    fallback = standing_in(profile)
    helper = None if fallback is None else dependencies.get(fallback.name)
    if fallback is not None and helper is not None and helper.circuit.retry_in <= 0:
        with suppress(Refusal):  # it may not have this conversation
            resolve_initialize(fallback, principal, options)
            return fallback
    raise Refusal(UPSTREAM_FAILED, retry_after=retry_in + between(0, 2))


def new_conversation(
    profile: Profile, principal: Principal, arrival: AdmissionRequest, initialize_timeout: float
) -> Conversation:
    """Describe the conversation that an arrival begins.

    `initialize_timeout` (seconds) is how long a browser may take that sends an `initialize`.
    """
    session_id = secrets.token_hex(16)
    known = arrival.client_options.call_type is not None or (
        arrival.native and principal.call_type is not None
    )
    settled = known and not arrival.sends_initialize
    if arrival.vendor_path:
        wait = initialize_timeout
    else:
        wait = 0.0 if settled else min(INITIALIZE_GRACE, initialize_timeout)
    return Conversation(
        session_id,
        profile,
        principal,
        arrival.address,
        arrival.client_options,
        time(),
        arrival.trace,
        initialize_wait=wait,
        initialize_required=arrival.vendor_path,
        resume_token=f"{session_id}.{secrets.token_urlsafe(24)}" if arrival.native else None,
    )


def session_row(conversation: Conversation, replica: str, arrival: AdmissionRequest) -> SessionRow:
    """What the registry is told of a conversation before it begins."""
    profile, principal = conversation.profile, conversation.principal
    return SessionRow(
        id=conversation.id,
        replica=replica,
        agent=profile.name,
        call_type=_call_type(profile, principal, arrival).value,
        subject=principal.subject,
        address=arrival.address,
        started_at=conversation.started_at,
        credential_id=principal.credential_id,
        tenant=profile.tenant,
        requested_agent=profile.requested_agent,
    )


def _call_type(profile: Profile, principal: Principal, arrival: AdmissionRequest) -> CallType:
    """The call type as far as it is known before the browser's `initialize`."""
    asked = arrival.client_options.call_type
    known = CallType(asked) if asked in set(CallType) else profile.default_call_type
    return principal.call_type or known
