"""Dialling upstream, and dialling the agent that stands in where that fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.protocol.errors import Refusal, UpstreamError
from app.protocol.initialize import resolve_initialize
from app.protocol.routing import standing_in

if TYPE_CHECKING:
    from app.protocol.initialize import ClientOptions, Profile, ResolvedInitialize
    from app.protocol.principal import CallType
    from app.relay.dependencies import Conversation, RelayDependencies
    from app.websocket.interface import Socket


@dataclass(frozen=True, slots=True)
class Dialled:
    """Upstream's socket, and whose conversation it is."""

    socket: Socket
    conversation: Conversation
    dependencies: RelayDependencies
    opening: ResolvedInitialize


async def dial_upstream(
    conversation: Conversation,
    dependencies: RelayDependencies,
    opening: ResolvedInitialize,
    options: ClientOptions,
) -> Dialled:
    """Dial the conversation's agent; where that fails, its fallback, once.

    `options` are those of the browser, for the fallback's own template. Raises `UpstreamError`, the
    fallback's where it was dialled.
    """
    try:
        socket = await _dial(conversation, dependencies)
    except UpstreamError:
        profile = standing_in(conversation.profile)
        if profile is None or dependencies.of_agent is None:
            raise
        own = dependencies.of_agent(profile.name)
        started = resolved_for(profile, conversation, opening.call_type, options)
        if started is None or own.circuit.retry_in > 0:
            raise
        conversation = replace(conversation, profile=profile)
        return Dialled(await _dial(conversation, own), conversation, own, started)
    return Dialled(socket, conversation, dependencies, opening)


async def _dial(conversation: Conversation, dependencies: RelayDependencies) -> Socket:
    with conversation.trace.part("dial"):
        return await dependencies.dial(conversation.profile)


def resolved_for(
    profile: Profile, conversation: Conversation, call_type: CallType, options: ClientOptions
) -> ResolvedInitialize | None:
    """How the conversation begins with another agent; None where that one may not have it."""
    try:
        return resolve_initialize(
            profile, conversation.principal, replace(options, call_type=call_type.value)
        )
    except Refusal:
        return None
