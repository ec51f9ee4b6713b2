"""A small OpenID Connect provider on loopback, with the faults that a client must refuse.

Whoever comes to `/authorize` is signed in at once as the next person of `people`, or sees a form.
Codes are good once, bound to the client, its redirect URI and its PKCE challenge (RFC 7636, S256).
"""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT = "relay-console"
SECRET = "canary-oidc-client-secret"


class Provider:
    """`fault` is what the next answers do wrong; `person` the claims of who signs in."""

    def __init__(self, *, secret: str | None = SECRET, signs_out: bool = True) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}/realm"
        self.secret = secret
        self.signs_out = signs_out
        self.signed_out: list[dict[str, Any]] = []
        self.fault = ""
        self.person: dict[str, Any] = {"sub": "u1", "email": "ada@example.com", "roles": ["admin"]}
        self.userinfo: dict[str, Any] = {}
        self.requests: list[dict[str, str]] = []
        self.redeemed: list[str] = []
        self.refused: list[str] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application()
        app.router.add_get("/realm/.well-known/openid-configuration", self._metadata)
        app.router.add_get("/realm/keys", self._keys)
        app.router.add_get("/realm/authorize", self._authorize)
        app.router.add_post("/realm/token", self._token)
        app.router.add_get("/realm/userinfo", self._userinfo)
        app.router.add_get("/realm/end-session", self._end_session)
        return app

    async def _metadata(self, _: web.Request) -> web.Response:
        metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
            "authorization_response_iss_parameter_supported": True,
        }
        if self.signs_out:
            metadata["end_session_endpoint"] = f"{self.issuer}/end-session?realm=1"
        return web.json_response(metadata)

    async def _keys(self, _: web.Request) -> web.Response:
        entry = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return web.json_response({"keys": [{**entry, "kid": "k1", "alg": "RS256", "use": "sig"}]})

    async def _authorize(self, request: web.Request) -> web.Response:
        query = dict(request.query)
        self.requests.append(query)
        answer = {"state": query["state"], "iss": self.issuer}
        if self.fault == "denied":
            answer["error"] = "access_denied"
        else:
            assert query["response_type"] == "code"
            assert query["client_id"] == CLIENT
            assert query["code_challenge_method"] == "S256"
            answer["code"] = secrets.token_urlsafe(16)
            self._codes[answer["code"]] = query
        if self.fault == "mixed_up":
            answer["iss"] = "https://other.example.com"
        if self.fault == "wrong_state":
            answer["state"] = secrets.token_urlsafe(32)
        raise web.HTTPFound(f"{query['redirect_uri']}?{urlencode(answer)}")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        code = str(form.get("code"))
        asked = self._codes.pop(code, None)
        fault = self._refusal(request, form, asked)
        if fault or asked is None:
            self.refused.append(fault or "no such code")
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.redeemed.append(code)
        access = secrets.token_urlsafe(16)
        token = self._id_token(asked["nonce"], access)
        return web.json_response(
            {"access_token": access, "token_type": "Bearer", "id_token": token, "expires_in": 60}
        )

    def _refusal(self, request: web.Request, form: Any, asked: dict[str, str] | None) -> str:
        if self.secret is None:
            if form.get("client_id") != CLIENT:
                return "no client id"
        else:
            basic = b64encode(f"{CLIENT}:{self.secret}".encode()).decode()
            if request.headers.get("Authorization") != f"Basic {basic}":
                return "wrong client"
        if asked is None:
            return "no such code"
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        if urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return "wrong verifier"
        return "" if form.get("redirect_uri") == asked["redirect_uri"] else "wrong redirect URI"

    def _id_token(self, nonce: str, access: str) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 60,
            "nonce": nonce,
            "at_hash": _half_hash(access),
            **self.person,
        }
        wrong: dict[str, dict[str, Any]] = {
            "wrong_nonce": {"nonce": "another"},
            "wrong_iss": {"iss": "https://other.example.com"},
            "wrong_aud": {"aud": "another-client"},
            "second_aud": {"aud": [CLIENT, "another-client"], "azp": "another-client"},
            "expired": {"iat": now - 300, "exp": now - 120},
            "old": {"iat": now - 3600},
            "from_the_future": {"iat": now + 3600},
            "wrong_at_hash": {"at_hash": _half_hash("another")},
            "no_subject": {"sub": ""},
        }
        claims |= wrong.get(self.fault, {})
        if self.fault == "no_nonce":
            del claims["nonce"]
        if self.fault == "alg_none":
            return jwt.encode(claims, "", "none")
        if self.fault == "alg_hs256":
            return jwt.encode(claims, SECRET * 2, "HS256", {"kid": "k1"})
        key = self._other if self.fault == "wrong_key" else self._key
        return jwt.encode(claims, key, "RS256", {"kid": "k1"})

    async def _end_session(self, request: web.Request) -> web.Response:
        query = request.query
        claims = jwt.decode(
            query["id_token_hint"],
            self._key.public_key(),
            ["RS256"],
            audience=CLIENT,
            options={"verify_exp": False},  # an expired one is taken (RP-Initiated Logout 1.0 §4)
        )
        assert (query["realm"], query["client_id"]) == ("1", CLIENT)
        self.signed_out.append(claims)
        raise web.HTTPFound(query["post_logout_redirect_uri"])

    async def _userinfo(self, _: web.Request) -> web.Response:
        return web.json_response(self.userinfo)


def _half_hash(access: str) -> str:
    digest = hashlib.sha256(access.encode()).digest()
    return urlsafe_b64encode(digest[:16]).rstrip(b"=").decode()


@asynccontextmanager
async def provider(**settings: Any) -> AsyncIterator[Provider]:
    """A provider for the time of a block."""
    running = Provider(**settings)
    runner = web.AppRunner(running.app(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", running.port).start()
    try:
        yield running
    finally:
        await runner.cleanup()
