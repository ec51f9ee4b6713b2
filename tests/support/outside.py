"""The applications around a gateway: webhooks of tools, forward authentication, signing keys."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.listening import http_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WEBHOOK_SECRET = "whsec_" + b64encode(b"canary-webhook-secret-24").decode()
COOKIE = "canary-cookie-51d0"


class Outside:
    """One HTTP server on loopback that plays them all. `calls` are the verified webhooks."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.forged: list[str] = []
        self.key_sets_asked = 0
        self.asked: list[dict[str, str]] = []
        self.port = 0
        self._failing: dict[str, int] = {}
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def base(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def public_key(self) -> str:
        """The public half of the signing key, as PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()

    def signed(self, kid: str | None = "a", **claims: Any) -> str:
        """A JWT by the published key."""
        headers = None if kid is None else {"kid": kid}
        given = {"sub": "jwt-user", "exp": time.time() + 60} | claims
        return jwt.encode(given, self._key, "RS256", headers)

    def tools(self, **more: Any) -> dict[str, Any]:
        """HTTP tools that lead here, for RELAY_HTTP_TOOLS."""
        common = {"secret": WEBHOOK_SECRET, "retries": 1, **more}
        return {
            "hook": common | {"url": f"{self.base}/hook", "parameters": ORDER},
            "hook_flaky": common | {"url": f"{self.base}/flaky"},
            "hook_hangs": common | {"url": f"{self.base}/hangs", "fallback_result": "try later"},
            "hook_moved": common | {"url": f"{self.base}/moved"},
            "hook_denied": common | {"url": f"{self.base}/denied"},
            "hook_private": common | {"url": f"http://127.0.0.2:{self.port}/hook"},
            "hook_metadata": common | {"url": "http://169.254.169.254/latest/meta-data"},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer everything."""
        match request.path:
            case "/forward":
                return self._forward(request)
            case "/keys":
                self.key_sets_asked += 1
                return web.json_response({"keys": [self._published()]})
            case "/moved":
                raise web.HTTPFound(f"{self.base}/hook")
            case "/denied":
                raise web.HTTPForbidden(text="a secret of the handler's")
            case "/hangs":
                await asyncio.sleep(60)
        body = await request.text()
        try:
            Webhook(WEBHOOK_SECRET).verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.forged.append(body)
            raise web.HTTPUnauthorized from None
        call = {"id": request.headers["webhook-id"], **json.loads(body)}
        self.calls.append(call)
        if request.path == "/flaky" and sum(c["id"] == call["id"] for c in self.calls) == 1:
            raise web.HTTPServiceUnavailable
        return web.json_response({"hooked": call["arguments"]})

    def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(dict(request.headers))
        match request.cookies.get("session"):
            case None:
                raise web.HTTPUnauthorized
            case "banned":
                raise web.HTTPForbidden
            case "broken":
                raise web.HTTPInternalServerError
            case _:
                answer = {"subject": "cookie-user", "additionalData": {"marker": "forwarded"}}
                return web.json_response(answer)

    def _published(self) -> dict[str, Any]:
        written: dict[str, Any] = json.loads(
            jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key())
        )
        return written | {"kid": "a", "alg": "RS256", "use": "sig"}


ORDER = {
    "type": "object",
    "properties": {"order_number": {"type": "string"}},
    "required": ["order_number"],
    "additionalProperties": False,
}


@asynccontextmanager
async def outside() -> AsyncIterator[Outside]:
    """The applications for the time of a block."""
    it = Outside()
    runner = web.ServerRunner(web.Server(it.handle), shutdown_timeout=0.1)
    async with http_site(runner) as it.port:
        yield it
