"""Builds the application from its settings, and runs its parts while it serves."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from fastapi import FastAPI

from app import __version__
from app.auth.origin import AllowedOrigins
from app.bootstrap import config, egress_clients, stored_history, tenants, tool_set, vendor_parts
from app.bootstrap.agent_parts import AgentParts, Dependencies
from app.bootstrap.event_webhooks import lifecycle_events
from app.bootstrap.exposition import exposition_of
from app.bootstrap.lifespan import lifespan
from app.bootstrap.live import LiveMapping
from app.bootstrap.outbound import outbound
from app.bootstrap.parts import Application
from app.bootstrap.places import upstream_places
from app.bootstrap.routes import add_routes
from app.bootstrap.token_keeper import TokenKeeper
from app.bootstrap.worker import store_timeout
from app.cluster.factory import open_bridges, open_live_events
from app.cluster.replicas import Replicas
from app.gateway.accounting import SessionAccounting
from app.gateway.approvals import ApprovalBoard
from app.gateway.calls import CallBook
from app.gateway.gateway import Gateway
from app.gateway.journal import SessionJournal
from app.gateway.tenants import TenantAdmission
from app.relay.dependencies import RelayDependencies
from app.relay.guardrails import guardrails
from app.relay.redacted_events import redacted
from app.relay.refusals import reject, send_error
from app.state.factory import open_state
from app.telemetry.drift import DriftLog, log_new_shape
from app.telemetry.metrics import Metrics
from app.telemetry.traces import open_traces
from app.tools import ToolExecutor
from app.tools.threads import DaemonThreads
from app.upstream.circuit_breaker import AgentCircuitBreaker, agent_circuits
from app.upstream.dialler import Dialer
from app.web import problems
from app.web.tenancy import Tenancy
from app.websocket.io_batcher import IoBatcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.bootstrap.worker import Worker
    from app.history.factory import History
    from app.settings import Settings
    from app.state.interface import State
    from app.upstream.endpoint import Endpoint


def build(settings: Settings, worker: Worker | None = None) -> Application:
    """Put everything together; nothing is dialled yet. Raises ConfigurationError.

    `worker` is which of several workers this process is; `settings` are that one's.
    """
    metrics = Metrics(settings.max_sessions)
    batcher = IoBatcher(written=metrics.batch_latency.written)
    out = outbound(settings)
    egress = egress_clients.egress(settings, out)
    vendor = vendor_parts.vendor(settings, out)
    box = tool_set.tool_set(settings, egress.tools, out)
    config.require_approved_tools(settings, frozenset(box.registry))
    replica = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    redaction = config.redaction(settings)

    def state_failed(operation: str) -> None:
        metrics.state_errors_total.labels(operation).inc()

    url = settings.state_url.get_secret_value()
    state = open_state(url, replica, on_error=state_failed, timeout=store_timeout(worker))
    history = stored_history.history(
        settings, egress.results, replica, metrics, state.journal, redaction
    )
    events = lifecycle_events(settings, egress.events, replica, history, metrics)
    lifecycle = redacted(events, redaction)

    guards = guardrails(
        settings.guardrails, settings.agents, egress.guardrails, DaemonThreads(), metrics
    )
    drift = DriftLog(log_new_shape, mask=None if redaction is None else redaction.mask_json)
    runner = ToolExecutor(
        box.registry, timeout=settings.tool_timeout, on_finished=metrics.tool_finished
    )

    approvals = ApprovalBoard(state.records)

    def dependencies(
        agent: str,
        circuit: AgentCircuitBreaker,
        endpoints: Mapping[str, Endpoint],
        given: Settings,
    ) -> RelayDependencies:
        return RelayDependencies(
            dial=Dialer(
                endpoints,
                config.upstream_limits(settings),
                settings.connect_timeout,
                batcher,
                out.tls,
                metrics,
                circuit.endpoint_breaker,
                out.proxies,
            ),
            executor=runner,
            tools=lambda: frozenset(box.registry),
            recorder=None if history is None else history.recorder,
            metrics=metrics,
            secrets=config.secret_forms(given),
            circuit=circuit,
            drift=drift,
            redaction=redaction,
            guardrails=guards.of(agent),
            of_agent=lambda name: by_agent[name],
            lifecycle=lifecycle,
            approvals=approvals,
        )

    def of_agents(given: Settings, endpoints: Mapping[str, Endpoint]) -> Dependencies:
        """An agent that is dialled as before keeps its circuit and its dialler."""
        forms, found = config.secret_forms(given), {}
        for name, circuit in agent_circuits(endpoints).items():
            before = agents.dependencies.get(name)
            if before is not None and dialled.get(name) == endpoints[name]:
                found[name] = replace(before, secrets=forms)
            else:
                found[name] = dependencies(name, circuit, endpoints, given)
        dialled.clear()
        dialled.update(endpoints)
        by_agent.update(found)
        return found

    dialled: dict[str, Endpoint] = {}
    by_agent: dict[str, RelayDependencies] = {}  # also of agents that only live sessions have
    agents = AgentParts(
        LiveMapping({}),
        of_agents,
        LiveMapping(vendor_parts.by_token(vendor)),
        LiveMapping(vendor_parts.accounts(settings)),
        out,
    )
    agents.dependencies.replace(of_agents(settings, vendor.endpoints))
    known = LiveMapping(tenants.tenants(settings))
    admission = TenantAdmission(state.ledger, known, metrics.tenants, lifecycle)
    gateway = Gateway(
        replica,
        state,
        agents.dependencies,
        metrics,
        config.gateway_limits(settings),
        config.relay_limits(settings),
        upstream_places(settings, state, metrics, out),
        SessionAccounting(admission, _journal(state, history)),
    )
    metrics.tenants.live = gateway.live.tenants
    metrics.bind(gateway.live.labels, gateway.live.buffered_bytes)
    replicas = Replicas(
        gateway,
        state,
        open_bridges(state, replica, reject=reject, send_error=send_error, on_error=state_failed),
        open_live_events(state, on_error=state_failed),
    )
    exposition, shared = exposition_of(worker, gateway, state, metrics, history)
    built = Application(
        app=_fastapi(),
        internal=None if settings.internal_port is None else _fastapi(),
        gateway=gateway,
        replicas=replicas,
        state=state,
        metrics=metrics,
        exposition=exposition,
        worker_metrics=shared,
        traces=open_traces(os.environ, __version__),
        tool_set=box,
        history=history,
        events=events,
        approvals=approvals,
        vendor=vendor,
        integrations=vendor_parts.integrations(settings, agents.by_token, out),
        call_book=CallBook(state.records),
        vendor_calls=vendor_parts.vendor_calls(settings, agents.accounts, out),
        drift=drift,
        probe=vendor_parts.probe(settings, metrics, out),
        egress=egress,
        batcher=batcher,
        browser_limits=config.browser_limits(settings),
        profiles=LiveMapping(config.profiles(settings)),
        tenants=known,
        tenancy=Tenancy(AllowedOrigins.parse(settings.allowed_origins), tenants.access(settings)),
        keyring=tenants.keyring(settings, out),
        agents=agents,
        vendor_tokens=LiveMapping(vendor.tokens),
        token_keeper=TokenKeeper(vendor.tokens.values(), vendor.client),
    )
    built.app.router.lifespan_context = lifespan(built)
    add_routes(built, settings)
    return built


def _journal(state: State, history: History | None) -> SessionJournal | None:
    """Notes of what begins, where history can make up for a replica that dies."""
    recovery = None if history is None else history.recovery
    if state.journal is None or recovery is None:
        return None
    return SessionJournal(state.journal, recovery.stored)


def _fastapi() -> FastAPI:
    app = FastAPI(
        title="Blackbox Relay",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    return app
