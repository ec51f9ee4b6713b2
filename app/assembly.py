"""From settings to the small values and parts that everybody else is given."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from app.auth.forward import Forward
from app.auth.jwks import Jwks
from app.auth.jwt import Jwt, JwtKeys
from app.auth.open import Open
from app.auth.ticket import TicketAuth, Tickets
from app.egress.addresses import AllowedHosts
from app.egress.guarded import guarded_client
from app.errors import ConfigurationError
from app.gateway import GatewayLimits
from app.history.assemble import (
    Clocks,
    History,
    Meters,
    Webhook,
    results_alone,
    stored_history,
)
from app.protocol.initialize import Profile
from app.protocol.principal import CallType
from app.relay.conversation import RelayLimits
from app.relay.dialling import Endpoint, GivenCredential
from app.telemetry.logs import forms_of
from app.tools import Registry
from app.tools.http_spec import http_tools
from app.tools.registry import load as load_tools
from app.tools.threads import Threads
from app.wire.limits import WireLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import httpx

    from app.auth.authenticator import Method
    from app.settings import AgentSettings, Settings
    from app.telemetry.metrics import Metrics
    from app.tools.mcp import McpTools
    from app.tools.port import Tool

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


def methods(settings: Settings, tickets: Tickets, egress: httpx.AsyncClient) -> list[Method]:
    """The configured ways to authenticate, in their order."""
    found: list[Method] = []
    for name in settings.auth:
        if name == "ticket":
            found.append(TicketAuth(tickets))
        elif name == "jwt":
            found.append(jwt(settings, egress))
        elif name == "forward" and settings.forward_auth_url:
            found.append(Forward(settings.forward_auth_url, egress))
        elif name == "open":
            found.append(Open())
    return found


def jwt(settings: Settings, egress: httpx.AsyncClient) -> Jwt:
    """The `jwt` method with its keys."""
    keys = JwtKeys(
        secret=settings.jwt_secret,
        public_key=settings.jwt_public_key.get_secret_value() if settings.jwt_public_key else None,
        jwks_url=settings.jwt_jwks_url,
        algorithms=settings.jwt_algorithms,
        issuer=settings.jwt_issuer,
        audience=tuple(filter(None, (settings.jwt_audience,))),
    )
    url = settings.jwt_jwks_url
    return Jwt(keys, Jwks(url, egress, keys.allowed()) if url else None)


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Every registered tool, and the MCP servers that bring some of them."""

    registry: Registry
    mcp: McpTools | None

    async def run(self) -> None:
        """Keep MCP servers connected until cancelled."""
        if self.mcp is not None:
            await self.mcp.run()


def toolbox(settings: Settings, egress: httpx.AsyncClient) -> Toolbox:
    """Import, read and check every tool. Raises ConfigurationError."""
    tools: list[Tool] = [
        *load_tools(settings.tools, Threads()),
        *http_tools(settings.http_tools, egress, timeout=settings.tool_timeout),
    ]
    if not settings.mcp_servers:
        return Toolbox(Registry(tools), None)
    from app.tools.mcp import McpTools  # noqa: PLC0415 - the SDK takes a moment to import
    from app.tools.mcp_spec import mcp_servers  # noqa: PLC0415

    servers = McpTools(
        mcp_servers(settings.mcp_servers),
        timeout=settings.tool_timeout,
        allowed=AllowedHosts.parse(settings.webhook_allowed_hosts),
        taken={tool.name for tool in tools},
    )
    return Toolbox(Registry(tools, [servers]), servers)


@asynccontextmanager
async def tools_of(settings: Settings) -> AsyncIterator[Registry]:
    """The registered tools alone, for the shell; MCP servers have been asked once."""
    async with egress_client(settings) as egress, asyncio.TaskGroup() as tasks:
        box = toolbox(settings, egress)
        running = tasks.create_task(box.run())
        if box.mcp is not None:
            await box.mcp.discovered()
        yield box.registry
        running.cancel()


def egress_client(settings: Settings) -> httpx.AsyncClient:
    """The client by which everything but the vendor's socket goes out."""
    try:
        allowed = AllowedHosts.parse(settings.webhook_allowed_hosts)
    except ValueError as fault:
        raise ConfigurationError([f"RELAY_WEBHOOK_ALLOWED_HOSTS: {fault}"]) from None
    return guarded_client(allowed, timeout=settings.tool_timeout)


def history(
    settings: Settings, egress: httpx.AsyncClient, replica: str, metrics: Metrics
) -> History | None:
    """History and results, as far as they are configured."""
    clocks = Clocks(monotonic, time)
    meters = Meters(
        on_dropped=lambda count: metrics.history_dropped_total.labels("record").inc(count),
        on_delivery=lambda delivery: metrics.results_total.labels(delivery.value).inc(),
        on_results_lost=lambda count: metrics.history_dropped_total.labels("result").inc(count),
    )
    webhook = None
    if settings.result_webhook_url and settings.result_webhook_secret:
        url = SecretStr(settings.result_webhook_url)
        webhook = Webhook(url, settings.result_webhook_secret, egress)
    if settings.history_url is not None:
        return stored_history(
            settings.history_url,
            clocks,
            replica=replica,
            days=settings.history_days,
            content=settings.history_content,
            webhook=webhook,
            meters=meters,
        )
    return None if webhook is None else results_alone(webhook, clocks, meters=meters)


def profiles(settings: Settings) -> dict[str, Profile]:
    """Every agent's profile, by name."""
    return {
        name: Profile(
            name=name,
            call_types=agent.call_types,
            default_call_type=agent.default_call_type or first_of(agent.call_types),
            request_field=DIAL_PATHS[agent.upstream or settings.upstream][2],
            initialize=template(agent),
            client_data_keys=agent.client_data_keys,
            phone_numbers=agent.phone_numbers,
            tools=agent.tools,
            browser_tools=agent.browser_tools,
            hide=agent.hide,
        )
        for name, agent in settings.agent_settings.items()
    }


def first_of(call_types: frozenset[CallType]) -> CallType:
    """The first of the call types that an agent knows."""
    return next((kind for kind in CallType if kind in call_types), CallType.CHAT)


def template(agent: AgentSettings) -> dict[str, Any]:
    """The template itself, also where an operator wrote it under the vendor's field."""
    for field in ("devRequest", "request"):
        if set(agent.initialize) == {field} and isinstance(agent.initialize[field], dict):
            return dict(agent.initialize[field])
    return agent.initialize


def endpoints(settings: Settings) -> dict[str, Endpoint]:
    """Where each agent is dialled, and with what."""
    found: dict[str, Endpoint] = {}
    for name, agent in settings.agent_settings.items():
        path, parameter, _ = DIAL_PATHS[agent.upstream or settings.upstream]
        key = agent.blackbox_api_key or settings.blackbox_api_key
        token = agent.web_integration_token or settings.web_integration_token
        secret = key if parameter == "authorization" else token
        assert secret is not None  # noqa: S101 - the settings' own checks demand it
        base = agent.blackbox_url or settings.blackbox_url
        found[name] = Endpoint(base, path, parameter, GivenCredential(secret))
    return found


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
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
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
        patience=settings.ping_timeout,
        tool_timeout=settings.tool_timeout,
        tool_concurrency=settings.tool_concurrency,
        frames_per_second=settings.frames_per_second,
        frame_burst=settings.frame_burst,
    )
