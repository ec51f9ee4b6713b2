"""The WebSocket endpoint: origin → authenticate → admit → relay."""

from __future__ import annotations

import re
from time import time
from typing import Final

import structlog
from starlette.routing import compile_path

from app.auth.authenticator import Authenticator
from app.auth.connect_request import BEARER, ConnectRequest, read_headers
from app.auth.proxies import TrustedProxies, rate_limit_key
from app.cluster.replicas import NOTHING_TO_JOIN, Replicas
from app.gateway.admission import AdmissionRequest, Reservation
from app.protocol.close_codes import CANNOT_RESUME, FORBIDDEN, Retry
from app.protocol.errors import Refusal
from app.protocol.initialize import ClientOptions, resolve_initialize
from app.protocol.principal import Principal
from app.relay.page import PageRequest
from app.relay.refusals import refuse
from app.server.interface import Upgrade
from app.state.interface import SessionRow
from app.telemetry.metrics import Metrics
from app.telemetry.traces import Trace, Traces
from app.web.agents import Agents
from app.web.problems import Problem, problem_for
from app.web.tenancy import ORIGIN_REFUSED, OriginRefused, Tenancy
from app.websocket.interface import Socket

log = structlog.get_logger(__name__)

SUBPROTOCOL: Final = "blackbox-relay.v1"
VENDOR_PATH: Final = "/api/v1/ws/webCall"
PATHS: Final = ("/ws", VENDOR_PATH, "/ws/{agent}")
PATTERNS: Final = tuple(compile_path(path)[0] for path in PATHS)
MAX_DIGITS: Final = 15
SESSION_ID: Final = re.compile(r"[0-9a-f]{32}")
NO_PATH: Final = "There is no WebSocket at this path. Try /ws or /ws/{agent}."
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
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self._gateway = replicas.gateway
        self._replicas = replicas
        self._authenticator = authenticator
        self._tenancy = tenancy
        self._proxies = proxies
        self._agents = agents
        self._metrics = metrics
        self._traces = traces

    async def serve(self, upgrade: Upgrade) -> None:
        """Answer one request for a WebSocket; the conversation that it opens lives on."""
        path = match_path(upgrade.request.path)
        if path is None:
            await no_such_path(upgrade)
            return
        request = self._read(upgrade, path)
        if self._tenancy.rule(request, self._agents.named(request)) is None:
            await self._refuse_origin(upgrade, request)
            return
        if _can_agree_on_none(request):
            await self._refuse_subprotocols(upgrade, request)
            return
        if "resume" in request.query:
            await self._resume(upgrade, request)
            return
        if "session" in request.query:
            await self._join(upgrade, request)
            return
        trace = self._traces.begin()
        try:
            with trace.part("connect"):
                admission = await self._admit(request, trace)
        except Refusal as refusal:
            trace.end(refusal.reason.code, refusal.reason.name)
            await self._refuse(upgrade, request, refusal)
            return
        try:
            socket = await self._accept(upgrade, request)
        except BaseException:
            self._authenticator.release(admission.conversation.principal, request)
            await self._gateway.release(admission)
            raise
        self._gateway.start(admission, socket)

    def _read(self, upgrade: Upgrade, path: re.Match[str]) -> ConnectRequest:
        asked = upgrade.request
        headers = read_headers(asked.headers)
        return ConnectRequest.read(
            headers,
            asked.query,
            path=asked.root_path + path.string,
            agent=path.groupdict().get("agent"),
            peer=self._proxies.peer(asked.client, asked.scheme, headers),
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
        profile = await self._agents.completed(profile)
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

    async def _resume(self, upgrade: Upgrade, request: ConnectRequest) -> None:
        if SUBPROTOCOL not in request.subprotocols:
            refusal = Refusal(FORBIDDEN, f"Resuming needs the subprotocol {SUBPROTOCOL}.")
            await self._refuse(upgrade, request, refusal)
            return
        received = _number(request.query.get("received", ""))
        if received is None:
            await self._refuse(upgrade, request, Refusal(CANNOT_RESUME, "received is missing."))
            return
        socket = await self._accept(upgrade, request)
        attempt = _number(request.query.get("attempt", "")) or 0
        await self._replicas.resume(request.query["resume"], received, socket, attempt)

    async def _join(self, upgrade: Upgrade, request: ConnectRequest) -> None:
        """Let one more page into a chat of the same subject."""
        session_id = request.query["session"]
        try:
            asked, row = await self._find_to_join(request, session_id)
        except Refusal as refusal:
            await self._refuse(upgrade, request, refusal)
            return
        socket = await self._accept(upgrade, request)
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

    async def _refuse(self, upgrade: Upgrade, request: ConnectRequest, refusal: Refusal) -> None:
        """Tell a browser by frame and code, which it can read, and others by HTTP."""
        if isinstance(refusal, OriginRefused):
            await self._refuse_origin(upgrade, request)
            return
        self._count(refusal.reason.name)
        reason = refusal.reason
        log.info("browser_refused", code=reason.code, reason=reason.name, address=request.address)
        if not request.is_browser:
            await _reject(upgrade, problem_for(refusal))
            return
        socket = await self._accept(upgrade, request)
        refuse(socket, time(), refusal.reason, None, refusal.message, refusal.retry_after)

    async def _refuse_origin(self, upgrade: Upgrade, request: ConnectRequest) -> None:
        """Refuse before the upgrade: no page of another site learns more."""
        self._count("origin")
        log.info("browser_refused", code=403, reason="origin", address=request.address)
        problem = Problem(403, "forbidden", ORIGIN_REFUSED)
        await _reject(upgrade, problem)

    async def _refuse_subprotocols(self, upgrade: Upgrade, request: ConnectRequest) -> None:
        """Say so before anything is spent: a browser would drop the socket unread (RFC 6455 §4.1).

        A ticket stays good.
        """
        self._count("no_subprotocol")
        log.info("browser_refused", code=400, reason="no_subprotocol", address=request.address)
        await _reject(upgrade, Problem(400, "no_subprotocol", NO_SUBPROTOCOL))

    async def _accept(self, upgrade: Upgrade, request: ConnectRequest) -> Socket:
        chosen = SUBPROTOCOL if SUBPROTOCOL in request.subprotocols else None
        return await upgrade.accept(chosen)

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


def match_path(path: str) -> re.Match[str] | None:
    """Find a WebSocket's path, and its agent; a slash behind it is no other path."""
    path = path.removesuffix("/")
    return next(filter(None, (pattern.fullmatch(path) for pattern in PATTERNS)), None)


async def no_such_path(upgrade: Upgrade) -> None:
    """Answer 404."""
    log.info("browser_refused", code=404, reason="no_such_path")
    await _reject(upgrade, Problem(404, "Not Found", NO_PATH))


async def _reject(upgrade: Upgrade, problem: Problem) -> None:
    await upgrade.reject(problem.status_code, problem.raw_headers, bytes(problem.body))
