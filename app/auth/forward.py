"""Asking the application whether this is one of its users, as nginx and Traefik do.

The question is a GET with the browser's Cookie, Authorization, Origin and query, and with what
`auth_request` (X-Original-*) and `forwardAuth` (X-Forwarded-*) users expect. A JSON object in a 2xx
answer is the principal, or a header names the user, where the operator says which. 401, and a
redirect that leads a person to a login page (302, 303, 307), mean that no user is signed in; 403 is
a refusal; anything else means that the answer is unknown.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import httpx
import structlog

from app.auth.claims import InvalidClaims, principal_from, user_named
from app.auth.connect_request import CredentialLocation
from app.auth.sign_in import without_own_cookies
from app.egress import FAILURES, AnswerRefused, cause_of, json_of, read_bounded
from app.protocol.close_codes import FORBIDDEN, OVERLOADED, UNAUTHENTICATED
from app.protocol.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.auth.connect_request import ConnectRequest, Credential
    from app.protocol.principal import Principal

log = structlog.get_logger(__name__)

MAX_BODY: Final = 64 * 1024
TIMEOUT: Final = 5.0
RETRY_AFTER: Final = 2.0
PASSED_ON: Final = ("cookie", "authorization", "origin", "user-agent", "accept-language")
# The gateway's own: a resume token is a credential, and the application's business is none of it.
OURS: Final = frozenset({"resume", "received"})
# What authentication services answer to a user who is not signed in: a browser that asked by
# itself would be taken to a login page. 301 and 308 are left out: the URL itself has moved.
TO_A_LOGIN: Final = frozenset({302, 303, 307})
SIGN_IN: Final = "The application asks for a sign-in first."
ADVICE: Final = {
    "http_301": "RELAY_FORWARD_AUTH_URL has moved: set the address that it redirects to",
    "http_308": "RELAY_FORWARD_AUTH_URL has moved: set the address that it redirects to",
    "http_404": "check the path in RELAY_FORWARD_AUTH_URL",
    "address_not_allowed": "a private or loopback address needs RELAY_WEBHOOK_ALLOWED_HOSTS",
}
NAME_THE_USER: Final = (
    "a JSON object with `sub` is needed, or RELAY_FORWARD_AUTH_HEADER with the name of the header "
    "that holds the user"
)


class Forward:
    """The `forward` method; `client` is a guarded one.

    `user_headers` are names of headers of a 2xx answer; the first that is there names the user
    where the answer's body does not.
    """

    ambient = True

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        *,
        user_headers: Sequence[str] = (),
        timeout: float = TIMEOUT,
    ) -> None:
        self._url = httpx.URL(url)
        self._client = client
        self._user_headers = tuple(user_headers)
        self._timeout = timeout

    def handles(self, credential: Credential | None) -> bool:  # noqa: ARG002
        """Take everybody: the application knows its cookies and its own tokens."""
        return True

    async def authenticate(
        self, request: ConnectRequest, credential: Credential | None
    ) -> Principal:
        """Ask; raises Refusal."""
        try:
            async with asyncio.timeout(self._timeout):
                answer, body = await self._ask(request, credential)
        except FAILURES as error:
            raise _unknown(cause_of(error)) from None
        status = answer.status_code
        if status == httpx.codes.UNAUTHORIZED:
            raise Refusal(UNAUTHENTICATED)
        if status in TO_A_LOGIN:
            log.info("forward_auth_redirected", status=status)
            raise Refusal(UNAUTHENTICATED, SIGN_IN)
        if status == httpx.codes.FORBIDDEN:
            raise Refusal(FORBIDDEN)
        if not httpx.codes.is_success(status):
            raise _unknown(f"http_{status}")
        return self._principal(answer.headers, body)

    async def _ask(
        self, request: ConnectRequest, credential: Credential | None
    ) -> tuple[httpx.Response, bytes]:
        query = {name: value for name, value in request.query.items() if name not in OURS}
        url = self._url.copy_merge_params(query) if query else self._url
        headers = _headers(request, query, credential)
        async with self._client.stream("GET", url, headers=headers) as response:
            if not response.is_success:
                return response, b""
            return response, await read_bounded(response, MAX_BODY)

    def _principal(self, headers: httpx.Headers, body: bytes) -> Principal:
        """Read a 2xx answer; what a JSON body pins holds for a user that a header names, too."""
        claims = _object(headers, body) if self._user_headers else _parsed(body)
        try:
            if self._user_headers and not {"sub", "subject"} & claims.keys():
                named = user_named(self._user_headers, headers.get_list)
                if named is None:
                    raise _unknown("no_user", NAME_THE_USER)
                claims = {**claims, "sub": named}
            return principal_from(claims, "forward", credential_id=None)
        except InvalidClaims as error:
            raise _unknown(f"claim_{error.claim}", NAME_THE_USER) from None


def _headers(
    request: ConnectRequest, query: dict[str, str], credential: Credential | None
) -> list[tuple[bytes, bytes]]:
    uri = quote(request.path, safe="/%:@!$&'()*+,;=~") + (f"?{urlencode(query)}" if query else "")
    passed_on = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
    if "cookie" in passed_on:
        passed_on["cookie"] = without_own_cookies(passed_on["cookie"])
    headers = list(passed_on.items())
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
    if credential is not None and credential.place is CredentialLocation.SUBPROTOCOL:
        # A browser cannot set Authorization; the subprotocol is how its scripts present a token.
        headers = [pair for pair in headers if pair[0] != "authorization"]
        headers.append(("authorization", f"Bearer {credential.value.get_secret_value()}"))
    # Header values are bytes that need not be ASCII (RFC 9110 §5.5).
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers if value]


def _object(headers: httpx.Headers, body: bytes) -> dict[str, Any]:
    """Read a body beside a header that may name the user; one that is not JSON says nothing."""
    written = body.strip()
    is_json = "json" in headers.get("content-type", "") or written[:1] == b"{"
    claims = _json(body) if is_json and written else None
    return claims if isinstance(claims, dict) else {}


def _parsed(body: bytes) -> dict[str, Any]:
    claims = _json(body)
    if not isinstance(claims, dict):
        raise _unknown("not_an_object", NAME_THE_USER)
    return claims


def _json(body: bytes) -> Any:
    try:
        return json_of(body)
    except AnswerRefused as refused:
        raise _unknown(refused.cause, NAME_THE_USER) from None


def _unknown(cause: str, advice: str | None = None) -> Refusal:
    advice = advice or ADVICE.get(cause, "see what answers at RELAY_FORWARD_AUTH_URL")
    log.warning("forward_auth_failed", cause=cause, advice=advice)
    return Refusal(OVERLOADED, retry_after=RETRY_AFTER)
