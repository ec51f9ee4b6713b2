"""From settings to the parts of the application.

A part that is not configured is not imported either: the database layer, the MCP SDK and JWTs with
their cryptography would take longer to load than all the rest, at every start of every replica.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import reduce
from time import monotonic, time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from app.auth.forward import Forward
from app.auth.open import Open
from app.auth.tenant_jwt import TenantJwt
from app.auth.ticket import OfferedTicket, TicketAuth, Tickets
from app.auth.web_token import WebTokenAuth, WebTokens
from app.bootstrap.config import DIAL_PATHS
from app.bootstrap.outbound import outbound
from app.egress.addresses import AllowedHosts
from app.egress.ssrf_guard import guarded_client
from app.protocol.errors import ConfigurationError
from app.settings.event_webhooks import MAX_RECEIVERS
from app.telemetry.traces import inject
from app.tools import Registry
from app.tools.http import http_tools
from app.tools.registry import load as load_tools
from app.tools.threads import DaemonThreads
from app.upstream.calls import VendorCalls
from app.upstream.endpoint import Endpoint, StaticCredential, UpstreamCredential
from app.upstream.integration import Integrations
from app.upstream.probe import UpstreamProbe
from app.upstream.token_refresh import RefreshingToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import httpx
    from fastapi import FastAPI

    from app.auth.authenticator import AuthMethod
    from app.auth.jwt import Jwt
    from app.auth.tenant_jwt import TenantKeys
    from app.bootstrap.agent_parts import AgentParts
    from app.bootstrap.live import LiveMapping
    from app.bootstrap.outbound import Outbound
    from app.bootstrap.tenants import TenantKeyring
    from app.bootstrap.token_keeper import TokenKeeper
    from app.cluster.replicas import Replicas
    from app.gateway.approvals import ApprovalBoard
    from app.gateway.calls import CallBook
    from app.gateway.gateway import Gateway
    from app.history.factory import History
    from app.history.lifecycle.webhooks import EventWebhooks
    from app.protocol.initialize import Profile
    from app.protocol.redaction import Redaction
    from app.protocol.tenant import Tenant
    from app.settings import Settings
    from app.state.interface import Journal, State
    from app.telemetry.drift import DriftLog
    from app.telemetry.metrics import Metrics
    from app.telemetry.traces import Traces
    from app.tools.interface import Tool
    from app.tools.mcp import McpTools
    from app.web.tenancy import Tenancy
    from app.websocket.io_batcher import IoBatcher
    from app.websocket.limits import WireLimits


def methods(
    settings: Settings,
    tickets: Tickets,
    tokens: WebTokens,
    client: httpx.AsyncClient,
    tenants: TenantJwtSource,
) -> list[AuthMethod]:
    """The configured ways to authenticate, in their order.

    Reusable tokens are accepted where tickets are, and where everybody is.
    """
    accepted = {"ticket", "open"} & set(settings.auth)
    found: list[AuthMethod] = [WebTokenAuth(tokens)] if accepted else []
    for name in settings.auth:
        if name == "ticket":
            found.append(TicketAuth(tickets))
        elif name == "jwt":
            found.append(tenants.method(jwt(settings, client)))
        elif name == "forward" and settings.forward_auth_url:
            headers = settings.forward_auth_header
            found.append(Forward(settings.forward_auth_url, client, user_headers=headers))
        elif name == "open":
            found += [OfferedTicket(tickets), Open()]
    return found


def jwt(settings: Settings, client: httpx.AsyncClient) -> Jwt | None:
    """The `jwt` method with the operator's keys; None where only tenants have some."""
    if not (settings.jwt_secret or settings.jwt_public_key or settings.jwt_jwks_url):
        return None
    from app.auth.jwks import Jwks  # noqa: PLC0415 - see above
    from app.auth.jwt import Jwt, JwtKeys  # noqa: PLC0415

    keys = JwtKeys(
        secret=settings.jwt_secret,
        public_key=settings.jwt_public_key.get_secret_value() if settings.jwt_public_key else None,
        jwks_url=settings.jwt_jwks_url,
        algorithms=settings.jwt_algorithms,
        issuer=settings.jwt_issuer,
        audience=tuple(filter(None, (settings.jwt_audience,))),
    )
    url = settings.jwt_jwks_url
    return Jwt(keys, Jwks(url, client, keys.allowed()) if url else None)


@dataclass(frozen=True, slots=True)
class TenantJwtSource:
    """Where the `jwt` method finds an agent's tenant, and the tenants' keys."""

    profiles: Mapping[str, Profile]
    keys: Callable[[], Mapping[str, TenantKeys]]

    def method(self, operator: Jwt | None) -> AuthMethod:
        """The method that verifies each JWT by the keys of its tenant."""
        return TenantJwt(operator, self._owner, self.keys)

    def _owner(self, agent: str) -> str | None:
        profile = self.profiles.get(agent)
        return None if profile is None else profile.tenant


@dataclass(frozen=True, slots=True)
class ToolSet:
    """Every registered tool, and the MCP servers that bring some of them."""

    registry: Registry
    mcp: McpTools | None

    async def run(self) -> None:
        """Keep MCP servers connected until cancelled."""
        if self.mcp is not None:
            await self.mcp.run()


def tool_set(settings: Settings, client: httpx.AsyncClient, out: Outbound) -> ToolSet:
    """Import, read and check every tool. Raises ConfigurationError."""
    tools: list[Tool] = [
        *load_tools(settings.tools, DaemonThreads()),
        *http_tools(settings.http_tools, client, timeout=settings.tool_timeout, propagate=inject),
    ]
    if not settings.mcp_servers:
        return ToolSet(Registry(tools), None)
    from app.tools.mcp import McpTools  # noqa: PLC0415 - see above
    from app.tools.mcp_spec import mcp_servers  # noqa: PLC0415
    from app.tools.mcp_transport import Reach  # noqa: PLC0415

    servers = McpTools(
        mcp_servers(settings.mcp_servers),
        timeout=settings.tool_timeout,
        allowed=AllowedHosts.parse(settings.webhook_allowed_hosts),
        taken={tool.name for tool in tools},
        reach=Reach(out.tls, out.proxies),
    )
    return ToolSet(Registry(tools, [servers]), servers)


def tool_names(settings: Settings) -> frozenset[str]:
    """The names of the function and HTTP tools; MCP servers are not asked."""
    functions = load_tools(settings.tools, DaemonThreads())
    return frozenset(
        {tool.name for tool in functions} | {str(name) for name in settings.http_tools}
    )


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[Registry]:
    """The registered tools alone, for the shell; MCP servers have been asked once.

    Raises ConfigurationError.
    """
    out = outbound(settings)
    clients = egress(settings, out)
    try:
        # Outside of the group, which would wrap a fault of the configuration in one of its own.
        box = tool_set(settings, clients.tools, out)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(box.run())
            if box.mcp is not None:
                await box.mcp.discovered()
            yield box.registry
            running.cancel()
    finally:
        await clients.close()


@dataclass(frozen=True, slots=True)
class Egress:
    """The clients by which webhooks go out: slow tools must not starve authentication."""

    tools: httpx.AsyncClient
    auth: httpx.AsyncClient
    results: httpx.AsyncClient
    guardrails: httpx.AsyncClient
    events: httpx.AsyncClient

    async def close(self) -> None:
        """Let go of connections."""
        for client in (self.tools, self.auth, self.results, self.guardrails, self.events):
            await client.aclose()


def egress(settings: Settings, out: Outbound) -> Egress:
    """Make the clients. Raises ConfigurationError."""
    try:
        allowed = AllowedHosts.parse(settings.webhook_allowed_hosts)
    except ValueError as fault:
        raise ConfigurationError([f"RELAY_WEBHOOK_ALLOWED_HOSTS: {fault}"]) from None
    asked = (settings.jwt_jwks_url, settings.console_oidc_issuer)
    named = [host for url in asked if (host := urlsplit(url or "").hostname)]
    trusted = reduce(AllowedHosts.allowing, named, allowed)
    return Egress(
        tools=guarded_client(
            allowed,
            timeout=settings.tool_timeout,
            max_connections=1000,
            verify=out.tls,
            proxies=out.proxies,
        ),
        auth=guarded_client(
            trusted,
            timeout=settings.handshake_timeout,
            verify=out.tls,
            proxies=out.proxies,
        ),
        results=guarded_client(
            allowed, timeout=settings.tool_timeout, verify=out.tls, proxies=out.proxies
        ),
        guardrails=guarded_client(
            allowed,
            timeout=settings.tool_timeout,
            max_connections=1000,
            verify=out.tls,
            proxies=out.proxies,
        ),
        # As many as all receivers may have under way, so that none waits for another's.
        events=guarded_client(
            allowed,
            timeout=settings.tool_timeout,
            max_connections=MAX_RECEIVERS * 8,
            verify=out.tls,
            proxies=out.proxies,
        ),
    )


def history(
    settings: Settings,
    client: httpx.AsyncClient,
    replica: str,
    metrics: Metrics,
    journal: Journal | None,
    redaction: Redaction | None,
) -> History | None:
    """History and results, as far as they are configured. Raises ConfigurationError."""
    if settings.history_url is None and settings.result_webhook_url is None:
        return None
    from app.history.factory import (  # noqa: PLC0415 - see above
        Clocks,
        Meters,
        Webhook,
        results_alone,
        stored_history,
    )

    clocks = Clocks(monotonic, time)
    meters = Meters(
        on_dropped=lambda count: metrics.history_dropped_total.labels("record").inc(count),
        on_delivery=lambda delivery: metrics.results_total.labels(delivery.value).inc(),
        on_results_lost=lambda count: metrics.history_dropped_total.labels("result").inc(count),
    )
    webhook = None
    if settings.result_webhook_url and settings.result_webhook_secret:
        url = SecretStr(settings.result_webhook_url)
        webhook = Webhook(url, settings.result_webhook_secret, client)
    if settings.history_url is not None:
        try:
            return stored_history(
                settings.history_url,
                clocks,
                replica=replica,
                days=settings.history_days,
                audit_days=settings.audit_days,
                content=settings.history_content,
                webhook=webhook,
                meters=meters,
                journal=journal,
                redaction=redaction,
            )
        except ValueError as fault:
            raise ConfigurationError([f"RELAY_HISTORY_URL {fault}"]) from None
    return (
        None
        if webhook is None
        else results_alone(webhook, clocks, meters=meters, redaction=redaction)
    )


TokenKey = tuple[str, str, str]
"""What a minted token is for: the vendor's address, the integration, the API key."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """Where each agent is dialled, and the credentials that renew themselves while `run` runs."""

    endpoints: Mapping[str, Endpoint]
    tokens: Mapping[TokenKey, RefreshingToken]
    client: httpx.AsyncClient

    async def run(self) -> None:
        """Keep minted tokens valid until cancelled."""
        async with self.client, asyncio.TaskGroup() as tasks:
            for credential in self.tokens.values():
                tasks.create_task(credential.run())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep minted tokens valid for the time of a block."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.run())
            yield
            task.cancel()


def vendor(
    settings: Settings, out: Outbound, tokens: Mapping[TokenKey, RefreshingToken] | None = None
) -> Vendor:
    """Where each agent is dialled, and with what; `tokens` that fit are used on."""
    found: dict[str, Endpoint] = {}
    refreshing: dict[TokenKey, RefreshingToken] = {}
    there = tokens or {}
    client = vendor_client(settings, out)
    for name, agent in settings.agent_settings.items():
        path, parameter, _ = DIAL_PATHS[agent.upstream or settings.upstream]
        base = agent.blackbox_url or settings.blackbox_url
        key = agent.blackbox_api_key or settings.blackbox_api_key
        token = agent.web_integration_token or settings.web_integration_token
        integration = agent.web_integration_id or settings.web_integration_id
        credential: UpstreamCredential
        if parameter == "authorization" and key is not None:
            credential = StaticCredential(key)
        elif token is not None:
            credential = StaticCredential(token)
        elif key is not None and integration is not None:
            rest = base.replace("ws", "http", 1).rstrip("/")
            known = (base, integration, key.get_secret_value())
            if known not in refreshing:
                refreshing[known] = there.get(known) or RefreshingToken(
                    rest, integration, key, client, wait=settings.connect_timeout
                )
            credential = refreshing[known]
        else:
            raise ConfigurationError([f"RELAY_AGENTS: {name} has no credential"])
        found[name] = Endpoint(base, path, parameter, credential)
    return Vendor(found, refreshing, client)


def by_token(vendor: Vendor) -> dict[str, Endpoint]:
    """The endpoints of the agents that are dialled by a token."""
    return {
        name: endpoint
        for name, endpoint in vendor.endpoints.items()
        if endpoint.parameter == "token"
    }


def integrations(
    settings: Settings, endpoints: Mapping[str, Endpoint], out: Outbound
) -> Integrations:
    """What the vendor's web integrations offer, for the agents that are dialled by a token."""
    return Integrations(endpoints, vendor_client(settings, out))


def accounts(settings: Settings) -> dict[str, tuple[str, SecretStr]]:
    """The vendor's base URL and the API key of each agent that has one."""
    found = {}
    for name, agent in settings.agent_settings.items():
        key = agent.blackbox_api_key or settings.blackbox_api_key
        if key is not None:
            found[name] = (agent.blackbox_url or settings.blackbox_url, key)
    return found


def vendor_calls(
    settings: Settings, known: Mapping[str, tuple[str, SecretStr]], out: Outbound
) -> VendorCalls:
    """What asks the vendor about calls, for the agents that have an API key."""
    return VendorCalls(known, vendor_client(settings, out))


def probe(settings: Settings, metrics: Metrics, out: Outbound) -> UpstreamProbe | None:
    """What looks at the vendor's info page; None where that is off, as it is by default."""
    if not settings.upstream_probe_interval:
        return None
    agents = settings.agent_settings.values()
    bases = dict.fromkeys(agent.blackbox_url or settings.blackbox_url for agent in agents)
    return UpstreamProbe(
        tuple(bases),
        vendor_client(settings, out),
        settings.upstream_probe_interval,
        on_seen=metrics.upstream_reachable.set,
    )


def vendor_client(settings: Settings, out: Outbound) -> httpx.AsyncClient:
    """An HTTP client for the vendor's hosts, wherever they are."""
    hosts = {urlsplit(settings.blackbox_url).hostname or ""}
    hosts |= {
        urlsplit(agent.blackbox_url).hostname or ""
        for agent in settings.agent_settings.values()
        if agent.blackbox_url
    }
    allowed = AllowedHosts()
    for host in hosts:
        allowed = allowed.allowing(host)
    return guarded_client(
        allowed, timeout=settings.connect_timeout, verify=out.tls, proxies=out.proxies
    )


@dataclass(frozen=True, slots=True)
class Application:
    """One process's parts, made from its settings.

    `app` answers browsers; `internal`, if there is one, `/metrics` and `/v1/*` on its own port.
    """

    app: FastAPI
    internal: FastAPI | None
    gateway: Gateway
    replicas: Replicas
    state: State
    metrics: Metrics
    traces: Traces
    tool_set: ToolSet
    history: History | None
    events: EventWebhooks | None
    approvals: ApprovalBoard
    vendor: Vendor
    integrations: Integrations
    call_book: CallBook
    vendor_calls: VendorCalls
    drift: DriftLog
    probe: UpstreamProbe | None
    egress: Egress
    batcher: IoBatcher
    browser_limits: WireLimits
    profiles: LiveMapping[str, Profile]
    tenants: LiveMapping[str, Tenant]
    tenancy: Tenancy
    keyring: TenantKeyring
    agents: AgentParts
    vendor_tokens: LiveMapping[TokenKey, RefreshingToken]
    token_keeper: TokenKeeper
