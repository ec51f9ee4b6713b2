"""Asking the application whether this is one of its users, as nginx and Traefik do.

The question is a GET with the browser's Cookie, Authorization, Origin and query, and with what
`auth_request` (X-Original-*) and `forwardAuth` (X-Forwarded-*) users expect. A JSON object in a 2xx
answer is the principal; 401 and 403 are refusals; anything else means that nobody can tell.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import httpx
import structlog

from app.auth.claims import Unreadable, principal_from
from app.auth.connecting import Place
from app.egress import FAILURES, AnswerRefused, cause_of, json_of, read_bounded
from app.errors import Refusal
from app.protocol.closing import FORBIDDEN, OVERLOADED, UNAUTHENTICATED

if TYPE_CHECKING:
    from app.auth.connecting import Connecting, Credential
    from app.protocol.principal import Principal

log = structlog.get_logger(__name__)

MAX_BODY: Final = 64 * 1024
TIMEOUT: Final = 5.0
RETRY_AFTER: Final = 2.0
PASSED_ON: Final = ("cookie", "authorization", "origin", "user-agent", "accept-language")
# The gateway's own: a resume token is a credential, and the application's business is none of it.
OURS: Final = frozenset({"resume", "received"})


class Forward:
    """The `forward` method; `client` is a guarded one."""

    ambient = True

    def __init__(self, url: str, client: httpx.AsyncClient, *, timeout: float = TIMEOUT) -> None:
        self._url = httpx.URL(url)
        self._client = client
        self._timeout = timeout

    def handles(self, credential: Credential | None) -> bool:  # noqa: ARG002
        """Take everybody: the application knows its cookies and its own tokens."""
        return True

    async def authenticate(self, request: Connecting, credential: Credential | None) -> Principal:
        """Ask; raises Refusal."""
        try:
            async with asyncio.timeout(self._timeout):
                status, body = await self._ask(request, credential)
        except FAILURES as error:
            raise _unknown(cause_of(error)) from None
        if status == httpx.codes.UNAUTHORIZED:
            raise Refusal(UNAUTHENTICATED)
        if status == httpx.codes.FORBIDDEN:
            raise Refusal(FORBIDDEN)
        if not httpx.codes.is_success(status):
            raise _unknown(f"http_{status // 100}xx")
        return _principal(body)

    async def _ask(self, request: Connecting, credential: Credential | None) -> tuple[int, bytes]:
        query = {name: value for name, value in request.query.items() if name not in OURS}
        url = self._url.copy_merge_params(query) if query else self._url
        headers = _headers(request, query, credential)
        async with self._client.stream("GET", url, headers=headers) as response:
            if not response.is_success:
                return response.status_code, b""
            return response.status_code, await read_bounded(response, MAX_BODY)


def _headers(
    request: Connecting, query: dict[str, str], credential: Credential | None
) -> list[tuple[bytes, bytes]]:
    uri = quote(request.path, safe="/%:@!$&'()*+,;=~") + (f"?{urlencode(query)}" if query else "")
    headers = [(name, request.headers[name]) for name in PASSED_ON if name in request.headers]
    headers += [
        ("accept", "application/json"),
        ("x-original-method", "GET"),
        ("x-original-uri", uri),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", request.scheme),
        ("x-forwarded-host", request.host),
        ("x-forwarded-uri", uri),
        ("x-forwarded-for", request.address),
    ]
    if request.agent is not None:
        headers.append(("x-relay-agent", quote(request.agent)))
    if credential is not None and credential.place is Place.SUBPROTOCOL:
        # A browser cannot set Authorization; the subprotocol is how its scripts present a token.
        headers = [pair for pair in headers if pair[0] != "authorization"]
        headers.append(("authorization", f"Bearer {credential.value.get_secret_value()}"))
    # Header values are bytes that need not be ASCII (RFC 9110 §5.5).
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers if value]


def _principal(body: bytes) -> Principal:
    try:
        claims: Any = json_of(body)
    except AnswerRefused as refused:
        raise _unknown(refused.cause) from None
    if not isinstance(claims, dict):
        raise _unknown("not_an_object")
    try:
        return principal_from(claims, "forward", credential_id=None)
    except Unreadable as error:
        raise _unknown(f"claim_{error.claim}") from None


def _unknown(cause: str) -> Refusal:
    log.warning("forward_auth_failed", cause=cause)
    return Refusal(OVERLOADED, retry_after=RETRY_AFTER)
