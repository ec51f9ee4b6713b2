"""The WebSocket endpoint: origin → authenticate → admit → relay."""

from __future__ import annotations

import asyncio
import re
from time import time
from typing import Final

import structlog
from fastapi import APIRouter, WebSocket
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from app.auth.authenticator import Authenticator
from app.auth.connect_request import BEARER, ConnectRequest, read_headers
from app.auth.proxies import TrustedProxies, rate_limit_key
from app.cluster.replicas import NOTHING_TO_JOIN, Replicas
from app.gateway.admission import AdmissionRequest, Reservation
from app.protocol.close_codes import CANNOT_RESUME, FORBIDDEN, Retry
from app.protocol.errors import Refusal
from app.protocol.initialize import ClientOptions, resolve_initialize
from app.protocol.principal import Principal
from app.relay.browser_leg import refuse
from app.relay.page import PageRequest
from app.server.interface import UpgradedSocket, accept
from app.state.interface import SessionRow
from app.telemetry.metrics import Metrics
from app.telemetry.traces import Trace, Traces
from app.web.agents import Agents
from app.web.problems import Problem, problem_for
from app.web.tenancy import ORIGIN_REFUSED, OriginRefused, Tenancy
from app.websocket.limits import WireLimits

log = structlog.get_logger(__name__)

SUBPROTOCOL: Final = "blackbox-relay.v1"
VENDOR_PATH: Final = "/api/v1/ws/webCall"
PATHS: Final = ("/ws", VENDOR_PATH, "/ws/{agent}")
PATTERNS: Final = tuple(compile_path(path)[0] for path in PATHS)
MAX_DIGITS: Final = 15
SESSION_ID: Final = re.compile(r"[0-9a-f]{32}")
NO_SUBPROTOCOL: Final = (
    f"None of the offered subprotocols can be chosen: offer {SUBPROTOCOL} beside bearer.…."
)


class ConnectEndpoint:
    """Admits browsers, or tells them why not."""

    def __init__(
        self,
        replicas: Replicas,
        authenticator: Authenticator,
        tenancy: Tenancy,
        proxies: TrustedProxies,
        agents: Agents,
        limits: WireLimits,
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self._gateway = replicas.gateway
        self._replicas = replicas
        self._authenticator = authenticator
        self._tenancy = tenancy
        self._proxies = proxies
        self._agents = agents
        self._limits = limits
        self._metrics = metrics
        self._traces = traces

    async def serve(self, websocket: WebSocket, agent: str | None) -> None:
        """Serve one WebSocket request to its end, or until its socket was taken over."""
        request = self._read(websocket, agent)
        if self._tenancy.rule(request, self._agents.named(request)) is None:
            await self._refuse_origin(websocket, request)
            return
        if _can_agree_on_none(request):
            await self._refuse_subprotocols(websocket, request)
            return
        if "resume" in request.query:
            await self._resume(websocket, request)
            return
        if "session" in request.query:
            await self._join(websocket, request)
            return
        trace = self._traces.begin()
        try:
            with trace.part("connect"):
                admission = await self._admit(request, trace)
        except Refusal as refusal:
            trace.end(refusal.reason.code, refusal.reason.name)
            await self._refuse(websocket, request, refusal)
            return
        try:
            socket = await self._accept(websocket, request)
        except BaseException as gone:
            self._authenticator.release(admission.conversation.principal, request)
            await self._gateway.release(admission)
            if isinstance(gone, WebSocketDisconnect | RuntimeError | OSError):
                return
            raise
        self._gateway.start(admission, socket)
        await socket.run()

    def _read(self, websocket: WebSocket, agent: str | None) -> ConnectRequest:
        scope = websocket.scope
        address = scope["client"][0] if scope.get("client") else ""
        scheme = "https" if scope.get("scheme") == "wss" else "http"
        headers = read_headers(scope["headers"])
        return ConnectRequest.read(
            headers,
            scope.get("query_string", b""),
            path=scope["path"],
            agent=agent,
            peer=self._proxies.peer(address, scheme, headers),
        )

    async def _admit(self, request: ConnectRequest, trace: Trace) -> Reservation:
        with trace.part("authenticate"):
            principal = await self._authenticator.authenticate(request)
        try:
            return await self._request_admission(request, principal, trace)
        except Refusal as refusal:
            if refusal.reason.retry is not Retry.NO or isinstance(refusal, OriginRefused):
                self._authenticator.release(principal, request)
            raise

    async def _request_admission(
        self, request: ConnectRequest, principal: Principal, trace: Trace
    ) -> Reservation:
        profile = self._agents.chosen(request, principal)
        self._tenancy.require_origin(request, profile.tenant)
        profile = await self._agents.resolve(profile)
        arrival = AdmissionRequest(
            address=rate_limit_key(request.address),
            client_options=ClientOptions(
                request.query.get("call_type"), request.query.get("endpoint")
            ),
            trace=trace,
            native=SUBPROTOCOL in request.subprotocols,
            vendor_path=request.path == VENDOR_PATH,
            sends_initialize="wish" in request.query,
            turn=request.query.get("turn"),
        )
        if arrival.client_options.call_type is not None or principal.call_type is not None:
            resolve_initialize(
                profile, principal, arrival.client_options
            )  # refuse before the upgrade what can be
        return await self._gateway.admit(profile, principal, arrival)

    async def _resume(self, websocket: WebSocket, request: ConnectRequest) -> None:
        if SUBPROTOCOL not in request.subprotocols:
            refusal = Refusal(FORBIDDEN, f"Resuming needs the subprotocol {SUBPROTOCOL}.")
            await self._refuse(websocket, request, refusal)
            return
        received = _number(request.query.get("received", ""))
        if received is None:
            await self._refuse(websocket, request, Refusal(CANNOT_RESUME, "received is missing."))
            return
        socket = await self._accept(websocket, request)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(socket.run())
            attempt = _number(request.query.get("attempt", "")) or 0
            await self._replicas.resume(request.query["resume"], received, socket, attempt)

    async def _join(self, websocket: WebSocket, request: ConnectRequest) -> None:
        """Let one more page into a chat of the same subject."""
        session_id = request.query["session"]
        try:
            asked, row = await self._find_to_join(request, session_id)
        except Refusal as refusal:
            await self._refuse(websocket, request, refusal)
            return
        socket = await self._accept(websocket, request)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(socket.run())
            await self._replicas.join(session_id, row, asked, socket)

    async def _find_to_join(
        self, request: ConnectRequest, session_id: str
    ) -> tuple[PageRequest, SessionRow | None]:
        """Who asks to join, and which session of another replica that is. Raises `Refusal`."""
        if SUBPROTOCOL not in request.subprotocols:
            raise Refusal(FORBIDDEN, f"Joining needs the subprotocol {SUBPROTOCOL}.")
        principal = await self._authenticator.authenticate(request)
        asked = PageRequest(
            principal.subject,
            principal.agent,
            principal.credential_id,
            principal.expires_at,
            principal.tenant,
        )
        if SESSION_ID.fullmatch(session_id) is None:
            raise Refusal(FORBIDDEN, NOTHING_TO_JOIN)
        try:
            if principal.tenant is not None:
                self._tenancy.require_origin(request, principal.tenant)
            return asked, await self._replicas.find_to_join(session_id, asked)
        except Refusal as refusal:
            if refusal.reason.retry is not Retry.NO or isinstance(refusal, OriginRefused):
                self._authenticator.release(principal, request)
            raise

    async def _refuse(
        self, websocket: WebSocket, request: ConnectRequest, refusal: Refusal
    ) -> None:
        """Tell a browser by frame and code, which it can read, and others by HTTP."""
        if isinstance(refusal, OriginRefused):
            await self._refuse_origin(websocket, request)
            return
        self._count(refusal.reason.name)
        reason = refusal.reason
        log.info("browser_refused", code=reason.code, reason=reason.name, address=request.address)
        if not request.is_browser:
            await websocket.send_denial_response(problem_for(refusal))
            return
        socket = await self._accept(websocket, request)
        refuse(socket, time(), refusal.reason, None, refusal.message, refusal.retry_after)
        await socket.run()

    async def _refuse_origin(self, websocket: WebSocket, request: ConnectRequest) -> None:
        """Refuse before the upgrade: no page of another site learns more."""
        self._count("origin")
        log.info("browser_refused", code=403, reason="origin", address=request.address)
        problem = Problem(403, "forbidden", ORIGIN_REFUSED)
        await websocket.send_denial_response(problem)

    async def _refuse_subprotocols(self, websocket: WebSocket, request: ConnectRequest) -> None:
        """Say so before anything is spent: a browser would drop the socket unread (RFC 6455 §4.1).

        A ticket stays good.
        """
        self._count("no_subprotocol")
        log.info("browser_refused", code=400, reason="no_subprotocol", address=request.address)
        await websocket.send_denial_response(Problem(400, "no_subprotocol", NO_SUBPROTOCOL))

    async def _accept(self, websocket: WebSocket, request: ConnectRequest) -> UpgradedSocket:
        chosen = SUBPROTOCOL if SUBPROTOCOL in request.subprotocols else None
        return await accept(websocket, chosen, self._limits)

    def _count(self, reason: str) -> None:
        self._metrics.refusals_total.labels(reason).inc()


def _can_agree_on_none(request: ConnectRequest) -> bool:
    """Tell whether subprotocols are offered, and none that a server could choose.

    Clients that are no browsers may live with that, but not one whose offer is a credential alone.
    """
    offered = request.subprotocols
    if not offered or SUBPROTOCOL in offered:
        return False
    return request.is_browser or all(name.startswith(BEARER) for name in offered)


def _number(text: str) -> int | None:
    """Read a natural number of a query, bounded: int() would take any script's digits."""
    sound = text.isdecimal() and text.isascii() and len(text) <= MAX_DIGITS
    return int(text) if sound else None


def routes(endpoint: ConnectEndpoint) -> APIRouter:
    """The paths by which browsers come in."""
    router = APIRouter()

    async def connect(websocket: WebSocket) -> None:
        await endpoint.serve(websocket, websocket.path_params.get("agent"))

    # Starlette's own routes: nothing is injected here, and to find that out takes its time.
    for path in PATHS:
        router.add_websocket_route(path, connect)
    return router


class WebSocketBypass:
    """ASGI middleware that passes a WebSocket of `routes` by the inner layers.

    They do nothing for it: the endpoint raises none of Starlette's exceptions, opens no file
    and has no dependencies. Where FastAPI's own telemetry is on, it is shown the whole way.
    """

    def __init__(self, app: ASGIApp, endpoint: ConnectEndpoint) -> None:
        self._layers = app
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI scope."""
        if scope["type"] == "websocket" and "fastapi.telemetry" not in scope:
            for pattern in PATTERNS:
                path = pattern.fullmatch(scope["path"])
                if path is not None:
                    agent = path.groupdict().get("agent")
                    await self._endpoint.serve(WebSocket(scope, receive, send), agent)
                    return
        await self._layers(scope, receive, send)
