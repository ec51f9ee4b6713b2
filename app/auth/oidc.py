"""Sign-in by OpenID Connect: authorization code flow with PKCE (OIDC Core 1.0 §3.1, RFC 7636).

Authlib builds the requests and judges the claims; the signature is verified with the provider's
published keys as JWTs of browsers are. Requests go by a guarded client, their answers are bounded.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import jwt
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core.claims import CodeIDToken
from joserfc.errors import JoseError

from app.auth.jwks import ASYMMETRIC, Jwks
from app.auth.sign_in import SignInFailed
from app.egress import FAILURES, cause_of, json_of, read_bounded
from app.protocol.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx
    from pydantic import SecretStr

    from app.auth.sign_in import SignInRequest

DISCOVERY: Final = "/.well-known/openid-configuration"
METADATA_FRESH: Final = 3600.0
METADATA_RETRY: Final = 5.0
TIMEOUT: Final = 10.0
LEEWAY: Final = 30
"""Seconds that the provider's clock and this one may differ."""
MAX_BODY: Final = 256 * 1024
MAX_AGE: Final = 600.0
"""Seconds since an ID token was issued, beyond which it is no answer to this sign-in."""


@dataclass(frozen=True, slots=True)
class OidcClient:
    """This gateway as a client of the provider; without a secret it is a public one (RFC 6749)."""

    issuer: str
    client_id: str
    client_secret: SecretStr | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")


@dataclass(frozen=True, slots=True)
class _Provider:
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None
    end_session_endpoint: str | None
    algorithms: frozenset[str]
    auth_methods: tuple[str, ...]
    names_itself: bool
    keys: Jwks


class OidcProvider:
    """The provider behind one issuer; its metadata is looked up at the first sign-in and hourly."""

    def __init__(
        self,
        client: OidcClient,
        http: httpx.AsyncClient,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._http = http
        self._monotonic = monotonic
        self._wall = wall
        self._provider: _Provider | None = None
        self._looked_up = float("-inf")

    async def look_up(self) -> None:
        """Fetch the provider's metadata. Raises `SignInFailed`."""
        await self._found()

    async def authorization_url(self, request: SignInRequest, state: str) -> str:
        """Where to send the browser. Raises `SignInFailed`."""
        provider = await self._found()
        url: str = prepare_grant_uri(
            provider.authorization_endpoint,
            self._client.client_id,
            "code",
            redirect_uri=request.redirect_uri,
            scope=" ".join(self._client.scopes),
            state=state,
            nonce=request.nonce,
            code_challenge=create_s256_code_challenge(request.verifier),
            code_challenge_method="S256",
        )
        return url

    async def sign_out_url(self, id_token: str, back: str) -> str | None:
        """Where a browser signs out at the provider (OIDC RP-Initiated Logout 1.0 §2).

        The provider sends it `back`, a URL that must be registered there. None where the provider
        has no such endpoint, or its metadata cannot be had.
        """
        try:
            endpoint = (await self._found()).end_session_endpoint
        except SignInFailed:
            return None
        if endpoint is None:
            return None
        query = [("client_id", self._client.client_id), ("post_logout_redirect_uri", back)]
        if id_token:
            query.append(("id_token_hint", id_token))
        return str(add_params_to_uri(endpoint, query))

    async def redeem(
        self, request: SignInRequest, code: str, issuer: str | None, *, wanted: str
    ) -> tuple[dict[str, Any], str]:
        """Redeem a code: the verified claims of who has signed in, and the ID token.

        Raises `SignInFailed`.

        `issuer` is what the answer said (RFC 9207). Claims that the ID token lacks, as `wanted`,
        are asked for at the UserInfo endpoint, where there is one (OIDC Core §5.3).
        """
        provider = await self._found()
        if issuer is None and provider.names_itself:
            raise SignInFailed("issuer_missing")
        if issuer is not None and issuer != self._client.issuer:
            raise SignInFailed("wrong_issuer")
        answer = await self._redeem(provider, request, code)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str):
            raise SignInFailed("no_id_token")
        claims = await self._verified(provider, token, access, request.nonce)
        if wanted not in claims and provider.userinfo_endpoint and isinstance(access, str):
            more = await self._asked(
                "GET", provider.userinfo_endpoint, {"authorization": f"Bearer {access}"}
            )
            if more.get("sub") != claims["sub"]:
                raise SignInFailed("wrong_userinfo")
            claims = {**more, **claims}
        return claims, token

    async def _redeem(
        self, provider: _Provider, request: SignInRequest, code: str
    ) -> dict[str, Any]:
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=request.redirect_uri,
            code=code,
            code_verifier=request.verifier,
        )
        secret = self._client.client_secret
        auth = ClientAuth(
            self._client.client_id,
            None if secret is None else secret.get_secret_value(),
            _auth_method(provider.auth_methods, public=secret is None),
        )
        form = {"content-type": "application/x-www-form-urlencoded"}
        url, headers, body = auth.prepare("POST", provider.token_endpoint, form, body)
        return await self._asked("POST", url, headers, body)

    async def _verified(
        self, provider: _Provider, token: str, access: object, nonce: str
    ) -> dict[str, Any]:
        """Verify an ID token (OIDC Core §3.1.3.7): by a published key, for this very sign-in."""
        try:
            header = jwt.get_unverified_header(token)
            algorithm, kid = header.get("alg"), header.get("kid")
            if algorithm not in provider.algorithms:
                raise SignInFailed("wrong_algorithm")

            def verify(key: Any) -> dict[str, Any]:
                # The times and names are judged below, with the rest of the claims.
                options = {"verify_aud": False, "verify_iat": False, "verify_nbf": False}
                options |= {"verify_exp": False, "verify_iss": False, "verify_sub": False}
                return jwt.decode(token, key, [algorithm], options=options)  # type: ignore[arg-type]

            claims = await provider.keys.verified(algorithm, kid, verify)
            self._judge(claims, header, access, nonce)
        except Refusal:
            raise SignInFailed("keys_unavailable") from None
        except JoseError as error:
            raise SignInFailed(f"claims_{error.error}") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise SignInFailed("invalid_id_token") from None
        return claims

    def _judge(
        self, claims: dict[str, Any], header: dict[str, Any], access: object, nonce: str
    ) -> None:
        now = self._wall()
        options = {
            "iss": {"essential": True, "value": self._client.issuer},
            "aud": {"essential": True, "value": self._client.client_id},
            "nonce": {"essential": True},
        }
        params = {"nonce": nonce, "client_id": self._client.client_id}
        if isinstance(access, str):
            params["access_token"] = access
        CodeIDToken(claims, header, options, params).validate(now=int(now), leeway=LEEWAY)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= 256:  # noqa: PLR2004
            raise SignInFailed("invalid_subject")
        if now - claims["iat"] > MAX_AGE:
            raise SignInFailed("too_old")

    # The provider

    async def _found(self) -> _Provider:
        """The provider's endpoints; what was known before holds while a look-up fails."""
        age = self._monotonic() - self._looked_up
        if self._provider is not None and age < METADATA_FRESH:
            return self._provider
        if age < METADATA_RETRY and self._provider is None:
            raise SignInFailed("provider_unavailable")
        self._looked_up = self._monotonic()
        try:
            metadata = await self._asked("GET", self._client.issuer.rstrip("/") + DISCOVERY, {})
            self._provider = self._read(metadata)
        except SignInFailed:
            if self._provider is None:
                raise
        return self._provider

    def _read(self, metadata: dict[str, Any]) -> _Provider:
        """Read the metadata (OIDC Discovery 1.0 §3 and §4.3)."""
        if metadata.get("issuer") != self._client.issuer:
            raise SignInFailed("wrong_issuer")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if not all(_is_endpoint(metadata.get(name), self._client.issuer) for name in names):
            raise SignInFailed("invalid_metadata")
        offered = metadata.get("id_token_signing_alg_values_supported")
        algorithms = ASYMMETRIC & set(offered if isinstance(offered, list) else ["RS256"])
        methods = metadata.get("token_endpoint_auth_methods_supported")
        userinfo, ends = metadata.get("userinfo_endpoint"), metadata.get("end_session_endpoint")
        return _Provider(
            metadata["authorization_endpoint"],
            metadata["token_endpoint"],
            userinfo if _is_endpoint(userinfo, self._client.issuer) else None,
            ends if _is_endpoint(ends, self._client.issuer) else None,
            algorithms,
            tuple(methods) if isinstance(methods, list) else ("client_secret_basic",),
            metadata.get("authorization_response_iss_parameter_supported") is True,
            Jwks(metadata["jwks_uri"], self._http, algorithms),
        )

    async def _asked(
        self, method: str, url: str, headers: dict[str, str], body: str | None = None
    ) -> dict[str, Any]:
        """Ask the provider; what comes back is a JSON object. Raises `SignInFailed`."""
        headers = {"accept": "application/json", **headers}
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._http.stream(method, url, headers=headers, content=body) as response,
            ):
                answer = json_of(await read_bounded(response, MAX_BODY))
                if not response.is_success:
                    raise SignInFailed(f"provider_http_{response.status_code // 100}xx")
        except FAILURES as error:
            raise SignInFailed(f"provider_{cause_of(error)}") from None
        if not isinstance(answer, dict):
            raise SignInFailed("provider_answer_invalid")
        return answer


def _auth_method(offered: tuple[str, ...], *, public: bool) -> str:
    """How to authenticate at the token endpoint (OIDC Core §9): as the provider takes it."""
    if public:
        return "none"
    post = "client_secret_post"
    return (
        post if post in offered and "client_secret_basic" not in offered else "client_secret_basic"
    )


def _is_endpoint(url: object, issuer: str) -> bool:
    """Tell whether a URL of the metadata may be used: encrypted, as the issuer's is."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    schemes = {"https", urlsplit(issuer).scheme}
    return parts.scheme in schemes and bool(parts.hostname)
