"""The two public routes that clients made for the vendor ask before they open a socket."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from app import __version__
from app.auth.authenticator import Authenticator
from app.auth.connect_request import ConnectRequest, read_headers
from app.auth.proxies import TrustedProxies, rate_limit_key
from app.protocol.close_codes import FORBIDDEN, TOO_MANY, UNAUTHENTICATED
from app.protocol.discover import document
from app.protocol.errors import Refusal
from app.protocol.frames import BROWSER_TYPES
from app.protocol.rate_limit import TokenBucket
from app.protocol.tenant import revocation_names
from app.state.interface import State
from app.telemetry.metrics import Metrics
from app.upstream.integration import Integrations
from app.web import cors
from app.web.agents import Agents
from app.web.problems import Problem, problem_for
from app.web.tenancy import OriginRefused, Tenancy

log = structlog.get_logger(__name__)

DISCOVER: Final = "/api/v1/web-integrations/discover"
INFO: Final = "/api/v1/ws/info"
WEB_CALL: Final = "/api/v1/ws/webCall"
FAILURES_PER_SECOND: Final = 1.0
FAILURE_BURST: Final = 30
MAX_ADDRESSES: Final = 10_000
RETRY_AFTER: Final = 5.0


class FailureLimit:
    """Bounds how often credentials of one address may be refused; the oldest addresses give way."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def failed(self, address: str) -> bool:
        """Count a refusal; False once there were too many."""
        bucket = self._buckets.pop(address, None) or TokenBucket(FAILURES_PER_SECOND, FAILURE_BURST)
        self._buckets[address] = bucket
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return bucket.allows(self._clock())


@dataclass(frozen=True, slots=True)
class Discover:
    """Answers what an agent offers to whom a credential is for; it uses up no ticket."""

    authenticator: Authenticator
    tenancy: Tenancy
    proxies: TrustedProxies
    agents: Agents
    integrations: Integrations
    state: State
    metrics: Metrics
    failures: FailureLimit

    def preflight(self, request: Request) -> Response:
        """Answer OPTIONS."""
        asked = self._read(request)
        rule = self.tenancy.rule(asked, self.agents.named(asked))
        return cors.preflight(rule or self.tenancy.origins(None), asked, "GET")

    async def answer(self, request: Request) -> Response:
        """Answer GET."""
        asked = self._read(request)
        rule = self.tenancy.rule(asked, self.agents.named(asked))
        if rule is None:
            return self._forbidden(asked)
        headers = cors.headers(rule, asked)
        try:
            found = await self._found(asked)
        except OriginRefused:
            return self._forbidden(asked)
        except Refusal as refusal:
            refusal = self._limited(refusal, asked)
            self._count(refusal.reason.name, asked)
            problem = problem_for(refusal)
            problem.headers.update(headers)
            return problem
        return JSONResponse(found, headers={**headers, "cache-control": "no-store"})

    async def _found(self, asked: ConnectRequest) -> dict[str, Any]:
        principal = await self.authenticator.authenticate(asked)
        profile = self.agents.chosen(asked, principal)
        self.tenancy.require_origin(asked, profile.tenant)
        credential = principal.credential_id
        if credential is not None:
            names = revocation_names(credential, profile.tenant)
            if await self.state.revoked(names):
                raise Refusal(UNAUTHENTICATED, "The credential was revoked.")
        call_types = profile.call_types
        if principal.call_type is not None:
            call_types = call_types & {principal.call_type}
        return document(profile, call_types, await self.integrations.offered(profile.name))

    def _forbidden(self, asked: ConnectRequest) -> Problem:
        self._count("origin", asked)
        return cors.forbidden()

    def _limited(self, refusal: Refusal, asked: ConnectRequest) -> Refusal:
        guessed = refusal.reason in (UNAUTHENTICATED, FORBIDDEN)
        if not guessed or self.failures.failed(rate_limit_key(asked.address)):
            return refusal
        return Refusal(TOO_MANY, "Too many refused credentials.", retry_after=RETRY_AFTER)

    def _read(self, request: Request) -> ConnectRequest:
        scope = request.scope
        headers = read_headers(scope["headers"])
        address = scope["client"][0] if scope.get("client") else ""
        return ConnectRequest.read(
            headers,
            scope.get("query_string", b""),
            path=scope["path"],
            agent=None,
            peer=self.proxies.peer(address, scope.get("scheme", "http"), headers),
            redeems=False,
        )

    def _count(self, reason: str, asked: ConnectRequest) -> None:
        self.metrics.refusals_total.labels(reason).inc()
        log.info("discover_refused", reason=reason, address=asked.address)


def routes(discover: Discover) -> APIRouter:
    """`GET /api/v1/web-integrations/discover` and `GET /api/v1/ws/info`, both public."""
    router = APIRouter(tags=["vendor"])

    @router.get(DISCOVER, responses={401: {"description": "The credential is refused."}})
    async def show(request: Request, token: str | None = None) -> Response:
        """Say what an agent offers; `token` is a credential, and stays usable."""
        del token  # read with every other place where a credential may be
        return await discover.answer(request)

    @router.options(DISCOVER, include_in_schema=False)
    async def options(request: Request) -> Response:
        return discover.preflight(request)

    @router.get(INFO)
    async def info() -> JSONResponse:
        """Describe the WebSocket endpoint in the vendor's shape; no credential is needed."""
        return JSONResponse(ws_info(), headers=PUBLIC)

    @router.options(INFO, include_in_schema=False)
    async def info_options() -> Response:
        return Response(status_code=204, headers={**PUBLIC, "allow": "GET, HEAD, OPTIONS"})

    return router


# The same for everybody, and told to everybody.
PUBLIC: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET",
    "access-control-allow-headers": "*",
    "cache-control": "no-store",
}


def ws_info() -> dict[str, Any]:
    """The answer of `ws/info` (D), of the endpoint that the gateway has."""
    return {
        "endpoints": [
            {
                "path": WEB_CALL,
                "description": "Conversations of web pages",
                "requiredParameters": ["token"],
                "optionalParameters": ["agent", "call_type", "endpoint"],
                "supportedMessageTypes": sorted(
                    kind for kind in BROWSER_TYPES if not kind.startswith("relay.")
                ),
            }
        ],
        "version": __version__,
        "status": "ok",
    }
