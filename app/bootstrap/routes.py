"""Gives each route its parts, and a place on the public or the internal port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends

from app.auth.authenticator import Authenticator
from app.auth.proxies import TrustedProxies
from app.auth.ticket import Tickets
from app.auth.web_token import WebTokens
from app.bootstrap import auth_methods, config, console
from app.bootstrap.event_webhooks import stored_deliveries
from app.server.asgi_upgrade import UpgradeMiddleware
from app.web import (
    approvals,
    asyncapi,
    audit_log,
    calls,
    control,
    conversations,
    deliveries,
    discover,
    drift,
    edges,
    event_documents,
    health,
    pages,
    revocations,
    sessions,
    takeover,
    tickets,
    usage,
    web_tokens,
    websocket,
)
from app.web.agents import Agents
from app.web.console import routes as console_routes
from app.web.idempotency import Idempotency

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI

    from app.bootstrap.parts import Application
    from app.server.interface import Endpoint
    from app.settings import Settings
    from app.websocket.limits import WireLimits


def add_routes(built: Application, settings: Settings) -> None:
    """Give each route its parts, and a place on the public or the internal port."""
    gateway, state, metrics = built.gateway, built.state, built.metrics
    profiles, tenancy = built.profiles, built.tenancy
    public, internal = built.app, built.internal or built.app
    proxies = TrustedProxies.parse(settings.trusted_proxies)
    minted, reusable = Tickets(state), WebTokens(state.records, state.revoke)
    tenant_jwts = auth_methods.TenantJwtSource(profiles, lambda: built.keyring.keys)
    methods = auth_methods.methods(settings, minted, reusable, built.egress.auth, tenant_jwts)
    authenticator = Authenticator(methods, minted.release)
    agents = Agents(profiles, built.integrations.resolve)
    endpoint = websocket.ConnectEndpoint(
        built.replicas,
        authenticator,
        tenancy,
        proxies,
        agents,
        metrics,
        built.traces,
    )
    described = discover.Discover(
        authenticator,
        tenancy,
        proxies,
        agents,
        built.integrations,
        state,
        metrics,
        discover.FailureLimit(),
    )
    access = console.access(built, settings, proxies)
    audit, guarded = access.audit, [Depends(access.guard)]
    slashed = ["/console/", "/demo/"]
    public.add_middleware(
        edges.Edges, metrics=metrics, websockets=websocket.PATTERNS, pages=slashed
    )
    public.include_router(health.health_routes(gateway, state, metrics, built.probe))
    public.include_router(discover.routes(described))
    public.include_router(pages.client_routes())
    public.include_router(asyncapi.routes())
    internal.include_router(console_routes.routes(access.sign_in, access.guard.tokens))
    public.include_router(pages.page_routes("console"))
    if settings.demo:
        public.include_router(pages.page_routes("demo", config.demo(settings, profiles)))
    if built.internal is not None:
        internal.add_middleware(edges.Edges, metrics=metrics, pages=slashed)
        internal.include_router(health.health_routes(gateway, state, metrics, built.probe))
        internal.include_router(pages.page_routes("console"))
    internal.include_router(health.metrics_routes(built.exposition))
    internal.include_router(tickets.routes(minted, profiles, proxies), dependencies=guarded)
    internal.include_router(web_tokens.routes(reusable, profiles, audit), dependencies=guarded)
    internal.include_router(
        sessions.routes(gateway, state, built.replicas, audit, access.guard.is_still_valid),
        dependencies=guarded,
    )
    steered = control.Control(
        built.replicas.commands, Idempotency(state.requests), audit, built.replicas.find
    )
    internal.include_router(control.routes(steered), dependencies=guarded)
    internal.include_router(takeover.routes(steered), dependencies=guarded)
    internal.include_router(approvals.routes(built.approvals, steered), dependencies=guarded)
    internal.include_router(revocations.routes(state, audit), dependencies=guarded)
    internal.include_router(drift.routes(built.drift), dependencies=guarded)
    backend_calls = calls.Calls(
        built.replicas, profiles, built.traces, built.call_book, built.vendor_calls
    )
    internal.include_router(calls.routes(backend_calls), dependencies=guarded)
    reader = None if built.history is None else built.history.reader
    internal.include_router(conversations.routes(reader, audit), dependencies=guarded)
    internal.include_router(_usage(built, settings), dependencies=guarded)
    internal.include_router(audit_log.routes(access.stored), dependencies=guarded)
    kept = stored_deliveries(built.history, built.events)
    internal.include_router(deliveries.routes(kept, audit), dependencies=guarded)
    event_documents.describe(internal)
    _add_endpoint(public, endpoint.serve, built.browser_limits)
    if built.internal is not None:
        _add_endpoint(internal, websocket.no_such_path, built.browser_limits)


def _usage(built: Application, settings: Settings) -> APIRouter:
    sums = None if built.history is None else built.history.usage
    prices = {kind.value: price for kind, price in settings.usage_prices.items()}
    return usage.routes(sums, prices, built.tenants)


def _add_endpoint(app: FastAPI, endpoint: Endpoint, limits: WireLimits) -> None:
    """Let an endpoint answer every upgrade: natively by `serve`, elsewhere by the middleware."""
    app.state.endpoint = endpoint
    app.add_middleware(UpgradeMiddleware, endpoint=endpoint, limits=limits)
