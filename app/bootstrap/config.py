"""From settings to the small values that the parts are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.bootstrap.tenants import owners
from app.gateway.admission import GatewayLimits
from app.protocol.errors import ConfigurationError
from app.protocol.initialize import Profile
from app.protocol.principal import CallType
from app.protocol.redaction import Redaction
from app.protocol.route import Route
from app.protocol.routing import linked
from app.relay.dependencies import RelayLimits
from app.telemetry.logs import forms_of
from app.websocket.limits import WireLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.settings import AgentSettings, Settings

# Seconds. A dead vendor is dead air for the caller: it is noticed within ten of them.
UPSTREAM_PING: Final = 5.0

ANY_KEY: Final = "*"
DIAL_PATHS: Final = {
    "dev": ("/api/v1/ws/dev", "authorization", "devRequest"),
    "webcall": ("/api/v1/ws/webCall", "token", "request"),
}


def demo(settings: Settings, profiles: Mapping[str, Profile]) -> dict[str, Any]:
    """What the demo page offers."""
    return {
        "agents": [
            {
                "name": profile.name,
                "callTypes": sorted(call_type.value for call_type in profile.call_types),
                "default": profile.default_call_type.value,
                "browserTools": sorted(profile.browser_tools),
            }
            for profile in profiles.values()
        ],
        "auth": list(settings.auth),
        "ticketed": "open" not in settings.auth,
    }


def profiles(settings: Settings) -> dict[str, Profile]:
    """Every agent's profile, by name."""
    owned, agents = owners(settings), settings.agent_settings
    plain = {
        name: Profile(
            name=name,
            call_types=agent.call_types,
            default_call_type=agent.default_call_type or first_of(agent.call_types),
            request_field=DIAL_PATHS[agent.upstream or settings.upstream][2],
            initialize=template(agent),
            client_data_keys=frozenset()
            if agent.client_data_keys == ANY_KEY
            else agent.client_data_keys,
            all_client_data=agent.client_data_keys == ANY_KEY,
            both_sdp_fields=agent.sdp_fields == "both",
            phone_numbers=agent.phone_numbers,
            tools=agent.tools,
            browser_tools=listed(agent),
            hide=agent.hide,
            discover=agent.discover,
            web_integration_id=agent.web_integration_id or settings.web_integration_id,
            approve=dict(agent.approve),
            integration_tools=agent.browser_tools == "integration",
            tenant=owned.get(name),
            route=tuple(Route(route.agent, route.weight) for route in agent.route),
        )
        for name, agent in agents.items()
    }
    return linked(plain, {n: a.fallback for n, a in agents.items() if a.fallback is not None})


def require_approved_tools(settings: Settings, tools: frozenset[str]) -> None:
    """Raise ConfigurationError for an approval of a tool that does not exist: it would run unasked.

    What MCP servers bring is not known at start: with those, every name may be right.
    """
    if settings.mcp_servers:
        return
    faults = [
        f"RELAY_AGENTS: {name}.approve.{tool}: no tool has this name"
        for name, agent in settings.agent_settings.items()
        for tool in sorted(agent.approve.keys() - tools)
    ]
    if faults:
        raise ConfigurationError(faults)


def listed(agent: AgentSettings) -> frozenset[str]:
    """The browser tools that the profile itself lists."""
    tools = agent.browser_tools
    return tools if isinstance(tools, frozenset) else frozenset()


def first_of(call_types: frozenset[CallType]) -> CallType:
    """The first of the call types that an agent knows."""
    return next((kind for kind in CallType if kind in call_types), CallType.CHAT)


def template(agent: AgentSettings) -> dict[str, Any]:
    """The template itself, also where an operator wrote it under the vendor's field."""
    for field in ("devRequest", "request"):
        if set(agent.initialize) == {field} and isinstance(agent.initialize[field], dict):
            return dict(agent.initialize[field])
    return agent.initialize


def secret_forms(settings: Settings) -> frozenset[bytes]:
    """Every form in which the API key may be echoed."""
    secrets_known = [settings.blackbox_api_key, settings.web_integration_token]
    for agent in settings.agent_settings.values():
        secrets_known += [agent.blackbox_api_key, agent.web_integration_token]
    return frozenset(
        form.encode()
        for secret in secrets_known
        if secret is not None
        for form in forms_of(secret.get_secret_value())
    )


def redaction(settings: Settings) -> Redaction | None:
    """What masks personal data in all that is kept and shown; None where nothing does."""
    return Redaction(settings.redact) if settings.redact else None


def browser_limits(settings: Settings) -> WireLimits:
    """What the browsers' leg may take."""
    return WireLimits(
        max_message=settings.max_frame,
        high_water=settings.outbox // 2,
        low_water=settings.outbox // 8,
        handshake_timeout=settings.handshake_timeout,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
    )


def upstream_limits(settings: Settings) -> WireLimits:
    """What the vendor's leg may take."""
    return WireLimits(
        max_message=settings.max_upstream_frame,
        ping_interval=min(settings.ping_interval, UPSTREAM_PING),
        ping_timeout=min(settings.ping_timeout, UPSTREAM_PING),
    )


def gateway_limits(settings: Settings) -> GatewayLimits:
    """How many sessions, and how they are drained."""
    return GatewayLimits(
        max_sessions=settings.max_sessions,
        per_subject=settings.max_sessions_per_subject,
        per_address=settings.max_sessions_per_ip,
        initialize_timeout=settings.initialize_timeout,
        drain_delay=settings.drain_delay,
        drain_timeout=settings.drain_timeout,
    )


def relay_limits(settings: Settings) -> RelayLimits:
    """The bounds of one conversation."""
    return RelayLimits(
        initialize_timeout=settings.initialize_timeout,
        idle_timeout=settings.idle_timeout,
        max_session=settings.max_session,
        resume_window=settings.resume_window,
        resume_buffer=settings.resume_buffer,
        outbox=settings.outbox,
        slow_reader_timeout=settings.ping_timeout,
        tool_timeout=settings.tool_timeout,
        tool_concurrency=settings.tool_concurrency,
        frames_per_second=settings.frames_per_second,
        frame_burst=settings.frame_burst,
        call_timeout=settings.call_timeout,
        chat_keep=settings.chat_keep,
        chat_pages=settings.chat_pages,
        chat_history=settings.chat_history,
        takeover_lease=settings.takeover_lease,
    )
