"""The application, put together: the only file that knows everyone."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI

from app import __version__, assembly, values
from app.auth.authenticator import Authenticator
from app.auth.origin import AllowedOrigins
from app.auth.proxies import TrustedProxies
from app.auth.ticket import Tickets
from app.gateway.gateway import Gateway
from app.relay.browser import hang_up, warn
from app.relay.circuits import AgentCircuit, agent_circuits
from app.relay.conversation import Collaborators
from app.relay.dialling import Dialer
from app.replicas import Replicas
from app.state.opening import open_bridges, open_state, open_watches
from app.telemetry.metrics import Metrics
from app.telemetry.traces import open_traces
from app.tools import Runner
from app.web import (
    asyncapi,
    calls,
    connect,
    conversations,
    edges,
    health,
    pages,
    problems,
    revocations,
    sessions,
    tickets,
)
from app.web.backends import ServiceTokens
from app.wire.wiring import Wiring

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from app.assembly import Egress, Toolbox, Vendor
    from app.egress.probe import InfoProbe
    from app.history.assemble import History
    from app.protocol.initialize import Profile
    from app.settings import Settings
    from app.state.port import State
    from app.telemetry.traces import Traces
    from app.wire.limits import WireLimits

FLUSH = 5.0
# Objects until the collector looks at the young ones. By Python's own 700 it walks what two
# sessions have just made and will keep, again and again: a tenth of what their set-up takes.
YOUNG = (5_000, 10, 10)


@dataclass(frozen=True, slots=True)
class House:
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
    toolbox: Toolbox
    history: History | None
    vendor: Vendor
    probe: InfoProbe | None
    egress: Egress
    wiring: Wiring
    browser_limits: WireLimits


def create_app(settings: Settings) -> FastAPI:
    """The application for any ASGI server; `house` also gives what the bundled server uses."""
    return house(settings).app


def house(settings: Settings) -> House:
    """Put everything together; nothing is dialled yet. Raises ConfigurationError."""
    metrics = Metrics(settings.max_sessions)
    wiring = Wiring(written=metrics.turns.written)
    tls = assembly.trust()
    egress = assembly.egress(settings, tls)
    vendor = assembly.vendor(settings, tls)
    box = assembly.toolbox(settings, egress.tools)
    replica = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    history = assembly.history(settings, egress.results, replica, metrics)

    def state_failed(operation: str) -> None:
        metrics.state_errors_total.labels(operation).inc()

    url = settings.state_url.get_secret_value()
    state = open_state(url, replica, on_error=state_failed)

    def tool_finished(name: str, outcome: Any, seconds: float) -> None:
        metrics.tool_calls_total.labels(name, outcome.value).inc()
        metrics.tool_seconds.labels(name).observe(seconds)

    runner = Runner(box.registry, timeout=settings.tool_timeout, on_finished=tool_finished)

    def helpers(circuit: AgentCircuit) -> Collaborators:
        return Collaborators(
            dial=Dialer(
                vendor.endpoints,
                values.upstream_limits(settings),
                settings.connect_timeout,
                wiring,
                tls,
                metrics,
                circuit.way,
            ),
            runner=runner,
            tools=lambda: frozenset(box.registry),
            recorder=None if history is None else history.recorder,
            metrics=metrics,
            secrets=values.secret_forms(settings),
            circuit=circuit,
        )

    circuits = agent_circuits(vendor.endpoints)
    gateway = Gateway(
        replica,
        state,
        {name: helpers(circuit) for name, circuit in circuits.items()},
        metrics,
        values.gateway_limits(settings),
        values.relay_limits(settings),
    )
    metrics.look_at(gateway.labels, gateway.waiting)
    replicas = Replicas(
        gateway,
        state,
        open_bridges(url, state, replica, hang_up=hang_up, warn=warn, on_error=state_failed),
        open_watches(url, state, on_error=state_failed),
    )
    built = House(
        app=_application(),
        internal=None if settings.internal_port is None else _application(),
        gateway=gateway,
        replicas=replicas,
        state=state,
        metrics=metrics,
        traces=open_traces(os.environ, __version__),
        toolbox=box,
        history=history,
        vendor=vendor,
        probe=assembly.probe(settings, metrics, tls),
        egress=egress,
        wiring=wiring,
        browser_limits=values.browser_limits(settings),
    )
    built.app.router.lifespan_context = _lifespan(built)
    _route(built, settings, values.profiles(settings))
    return built


def _application() -> FastAPI:
    app = FastAPI(
        title="Blackbox Relay",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    return app


def _lifespan(built: House) -> Any:
    """Start → serve → stop, in ten lines."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        started = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(built.state.run()),
                tasks.create_task(built.gateway.run(started)),
                tasks.create_task(built.replicas.run()),
                tasks.create_task(built.toolbox.run()),
                tasks.create_task(built.vendor.run()),
            ]
            if built.history is not None:
                running.append(tasks.create_task(built.history.run()))
            if built.probe is not None:
                running.append(tasks.create_task(built.probe.run()))
            await started.wait()
            gc.collect()
            gc.freeze()  # what was made so far stays: no collection needs to walk it again
            gc.set_threshold(*YOUNG)
            gc.enable()
            yield
            for task in running:
                task.cancel()
        if built.history is not None:
            await built.history.close(FLUSH)
        await asyncio.to_thread(built.traces.close)
        await built.replicas.close()
        await built.state.close()
        await built.egress.close()

    return lifespan


def _route(built: House, settings: Settings, profiles: Mapping[str, Profile]) -> None:
    """Give each route its parts, and a place on the public or the internal port."""
    gateway, state, metrics = built.gateway, built.state, built.metrics
    public, internal = built.app, built.internal or built.app
    proxies = TrustedProxies.parse(settings.trusted_proxies)
    minted = Tickets(state)
    doorkeeper = connect.Doorkeeper(
        built.replicas,
        Authenticator(assembly.methods(settings, minted, built.egress.auth), minted.give_back),
        AllowedOrigins.parse(settings.allowed_origins),
        proxies,
        profiles,
        built.browser_limits,
        metrics,
        built.traces,
    )
    tokens = ServiceTokens(settings.service_tokens, settings.content_tokens)
    guarded = [Depends(tokens)]
    public.include_router(connect.routes(doorkeeper))
    public.add_middleware(connect.ShortWay, doorkeeper=doorkeeper)
    slashed = ["/console/", "/demo/"]
    public.add_middleware(edges.Edges, metrics=metrics, websockets=connect.PATTERNS, pages=slashed)
    public.include_router(health.health_routes(gateway, state, metrics, built.probe))
    public.include_router(pages.client_routes())
    public.include_router(asyncapi.routes())
    public.include_router(pages.page_routes("console"))
    if settings.demo:
        public.include_router(pages.page_routes("demo", values.demo(settings, profiles)))
    if built.internal is not None:
        internal.add_middleware(edges.Edges, metrics=metrics, pages=slashed)
        internal.include_router(health.health_routes(gateway, state, metrics, built.probe))
        internal.include_router(pages.page_routes("console"))
    internal.include_router(health.metrics_routes(metrics))
    internal.include_router(tickets.routes(minted, profiles, proxies), dependencies=guarded)
    internal.include_router(
        sessions.routes(gateway, state, built.replicas, tokens), dependencies=guarded
    )
    internal.include_router(revocations.routes(state), dependencies=guarded)
    internal.include_router(calls.routes(gateway, profiles, built.traces), dependencies=guarded)
    archive = None if built.history is None else built.history.archive
    internal.include_router(conversations.routes(archive), dependencies=guarded)
    for app in {public, internal}:
        app.include_router(edges.fallback())
