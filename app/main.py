"""The application, put together: the only file that knows everyone."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI

from app import __version__
from app.auth.authenticator import Authenticator
from app.auth.forward import Forward
from app.auth.jwks import Jwks
from app.auth.jwt import Jwt, JwtKeys
from app.auth.open import Open
from app.auth.origin import AllowedOrigins
from app.auth.proxies import TrustedProxies
from app.auth.ticket import TicketAuth, Tickets
from app.egress.addresses import AllowedHosts
from app.egress.guarded import guarded_client
from app.gateway import Gateway, GatewayLimits
from app.protocol.initialize import Profile
from app.protocol.principal import CallType
from app.relay.conversation import Collaborators, RelayLimits
from app.relay.dialling import Circuit, Dialer, Endpoint, GivenCredential
from app.state.opening import open_state
from app.telemetry.logs import forms_of
from app.telemetry.metrics import Metrics
from app.tools import Registry, Runner
from app.tools.http_spec import http_tools
from app.tools.registry import load as load_tools
from app.tools.threads import Threads
from app.web import connect, health, pages, problems, sessions, tickets
from app.web.backends import ServiceTokens
from app.wire.limits import WireLimits
from app.wire.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from app.auth.authenticator import Method
    from app.settings import AgentSettings, Settings
    from app.state.port import State

DIAL_PATHS = {
    "dev": ("/api/v1/ws/dev", "authorization", "devRequest"),
    "webcall": ("/api/v1/ws/webCall", "token", "request"),
}


@dataclass(frozen=True, slots=True)
class House:
    """One process's parts, made from its settings; `app` answers browsers.

    `internal`, if there is one, answers `/metrics` and `/v1/*` on a port of its own.
    """

    app: FastAPI
    internal: FastAPI | None
    gateway: Gateway
    state: State
    metrics: Metrics
    egress: httpx.AsyncClient
    wiring: Wiring
    browser_limits: WireLimits


def create_app(settings: Settings) -> FastAPI:
    """The application for any ASGI server; `house` also gives what the bundled server uses."""
    return house(settings).app


def house(settings: Settings) -> House:
    """Put everything together; nothing is dialled yet. Raises ConfigurationError."""
    wiring = Wiring()
    browser_limits = _browser_limits(settings)
    allowed = AllowedHosts.parse(settings.webhook_allowed_hosts)
    egress = guarded_client(allowed, timeout=settings.tool_timeout)
    registry = _registry(settings, egress)
    circuit = Circuit()
    metrics = Metrics(settings.max_sessions)
    replica = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    state = open_state(
        settings.state_url.get_secret_value(),
        replica,
        on_error=lambda operation: metrics.state_errors_total.labels(operation).inc(),
    )

    def tool_finished(name: str, outcome: Any, seconds: float) -> None:
        metrics.tool_calls_total.labels(name, outcome.value).inc()
        metrics.tool_seconds.labels(name).observe(seconds)

    helpers = Collaborators(
        dial=Dialer(
            _endpoints(settings),
            _upstream_limits(settings),
            settings.connect_timeout,
            wiring,
            ssl.create_default_context(),
            metrics,
            circuit,
        ),
        runner=Runner(registry, timeout=settings.tool_timeout, on_finished=tool_finished),
        tools=lambda: frozenset(registry),
        recorder=None,
        metrics=metrics,
        secrets=_secret_forms(settings),
    )
    gateway = Gateway(
        replica, state, helpers, _gateway_limits(settings), _relay_limits(settings), circuit
    )
    metrics.look_at(gateway.labels, gateway.waiting)
    app = FastAPI(
        title="Blackbox Relay", version=__version__, lifespan=_lifespan(gateway, state, egress)
    )
    problems.install(app)
    internal = None
    if settings.internal_port is not None:
        internal = FastAPI(title="Blackbox Relay, internal", version=__version__)
        problems.install(internal)
    built = House(app, internal, gateway, state, metrics, egress, wiring, browser_limits)
    _route(built, settings, _profiles(settings))
    return built


def _lifespan(gateway: Gateway, state: State, egress: httpx.AsyncClient) -> Any:
    """Start → serve → stop, in ten lines."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(egress.aclose)
            stack.push_async_callback(state.close)
            started = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(state.run()), tasks.create_task(gateway.run(started))]
                await started.wait()
                yield
                for task in running:
                    task.cancel()

    return lifespan


def _route(built: House, settings: Settings, profiles: dict[str, Profile]) -> None:
    """Give each route its parts, and a place on the public or the internal port."""
    gateway, state, metrics = built.gateway, built.state, built.metrics
    public, internal = built.app, built.internal or built.app
    proxies = TrustedProxies.parse(settings.trusted_proxies)
    minted = Tickets(state)
    doorkeeper = connect.Doorkeeper(
        gateway,
        Authenticator(_methods(settings, minted, built.egress)),
        AllowedOrigins.parse(settings.allowed_origins),
        proxies,
        profiles,
        built.browser_limits,
        metrics,
    )
    tokens = ServiceTokens(settings.service_tokens, settings.content_tokens)
    guarded = [Depends(tokens)]
    public.include_router(connect.routes(doorkeeper))
    public.include_router(health.health_routes(gateway, state, metrics))
    public.include_router(pages.client_routes())
    public.include_router(pages.page_routes("console"))
    if settings.demo:
        public.include_router(pages.page_routes("demo", _demo(settings, profiles)))
    if built.internal is not None:
        internal.include_router(health.health_routes(gateway, state, metrics))
    internal.include_router(health.metrics_routes(metrics))
    internal.include_router(tickets.routes(minted, profiles, proxies), dependencies=guarded)
    internal.include_router(sessions.routes(gateway, state, tokens), dependencies=guarded)


def _demo(settings: Settings, profiles: dict[str, Profile]) -> dict[str, Any]:
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


def _methods(settings: Settings, tickets: Tickets, egress: httpx.AsyncClient) -> list[Method]:
    methods: list[Method] = []
    for name in settings.auth:
        if name == "ticket":
            methods.append(TicketAuth(tickets))
        elif name == "jwt":
            methods.append(_jwt(settings, egress))
        elif name == "forward" and settings.forward_auth_url:
            methods.append(Forward(settings.forward_auth_url, egress))
        elif name == "open":
            methods.append(Open())
    return methods


def _jwt(settings: Settings, egress: httpx.AsyncClient) -> Jwt:
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


def _registry(settings: Settings, egress: httpx.AsyncClient) -> Registry:
    called = http_tools(settings.http_tools, egress, timeout=settings.tool_timeout)
    return Registry([*load_tools(settings.tools, Threads()), *called])


@asynccontextmanager
async def tools_of(settings: Settings) -> AsyncIterator[Registry]:
    """The registered tools alone, for the shell."""
    allowed = AllowedHosts.parse(settings.webhook_allowed_hosts)
    async with guarded_client(allowed, timeout=settings.tool_timeout) as egress:
        yield _registry(settings, egress)


def _profiles(settings: Settings) -> dict[str, Profile]:
    return {
        name: Profile(
            name=name,
            call_types=agent.call_types,
            default_call_type=agent.default_call_type or _first(agent.call_types),
            request_field=DIAL_PATHS[agent.upstream or settings.upstream][2],
            initialize=_template(agent),
            client_data_keys=agent.client_data_keys,
            phone_numbers=agent.phone_numbers,
            tools=agent.tools,
            browser_tools=agent.browser_tools,
            hide=agent.hide,
        )
        for name, agent in settings.agent_settings.items()
    }


def _first(call_types: frozenset[CallType]) -> CallType:
    return next((kind for kind in CallType if kind in call_types), CallType.CHAT)


def _template(agent: AgentSettings) -> dict[str, Any]:
    """The template itself, also where an operator wrote it under the vendor's field."""
    for field in ("devRequest", "request"):
        if set(agent.initialize) == {field} and isinstance(agent.initialize[field], dict):
            return dict(agent.initialize[field])
    return agent.initialize


def _endpoints(settings: Settings) -> dict[str, Endpoint]:
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


def _secret_forms(settings: Settings) -> frozenset[bytes]:
    secrets_known = [settings.blackbox_api_key, settings.web_integration_token]
    for agent in settings.agent_settings.values():
        secrets_known += [agent.blackbox_api_key, agent.web_integration_token]
    return frozenset(
        form.encode()
        for secret in secrets_known
        if secret is not None
        for form in forms_of(secret.get_secret_value())
    )


def _browser_limits(settings: Settings) -> WireLimits:
    return WireLimits(
        max_message=settings.max_frame,
        high_water=settings.outbox // 2,
        low_water=settings.outbox // 8,
        handshake_timeout=settings.handshake_timeout,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
    )


def _upstream_limits(settings: Settings) -> WireLimits:
    return WireLimits(
        max_message=settings.max_upstream_frame,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
    )


def _gateway_limits(settings: Settings) -> GatewayLimits:
    return GatewayLimits(
        max_sessions=settings.max_sessions,
        per_subject=settings.max_sessions_per_subject,
        per_address=settings.max_sessions_per_ip,
        initialize_timeout=settings.initialize_timeout,
        drain_delay=settings.drain_delay,
        drain_timeout=settings.drain_timeout,
    )


def _relay_limits(settings: Settings) -> RelayLimits:
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
