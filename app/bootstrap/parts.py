"""The parts of one process, as `app.bootstrap.application.build` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI

    from app.bootstrap.agent_parts import AgentParts
    from app.bootstrap.egress_clients import Egress
    from app.bootstrap.live import LiveMapping
    from app.bootstrap.tenants import TenantKeyring
    from app.bootstrap.token_keeper import TokenKeeper
    from app.bootstrap.tool_set import ToolSet
    from app.bootstrap.vendor_parts import TokenKey, Vendor
    from app.bootstrap.worker_metrics import WorkerMetrics
    from app.cluster.replicas import Replicas
    from app.gateway.approvals import ApprovalBoard
    from app.gateway.calls import CallBook
    from app.gateway.gateway import Gateway
    from app.history.factory import History
    from app.history.lifecycle.webhooks import EventWebhooks
    from app.protocol.initialize import Profile
    from app.protocol.tenant import Tenant
    from app.state.interface import State
    from app.telemetry.drift import DriftLog
    from app.telemetry.metrics import Metrics
    from app.telemetry.traces import Traces
    from app.upstream.calls import VendorCalls
    from app.upstream.integration import Integrations
    from app.upstream.probe import UpstreamProbe
    from app.upstream.token_refresh import RefreshingToken
    from app.web.tenancy import Tenancy
    from app.websocket.io_batcher import IoBatcher
    from app.websocket.limits import WireLimits


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
    exposition: Callable[[], Awaitable[bytes]]
    worker_metrics: WorkerMetrics | None
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
