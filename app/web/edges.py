"""What probes, proxies, curl and old clients send, answered before any route is looked for.

HEAD is answered as GET without its body, OPTIONS by the methods of its path (RFC 9110 §9.3), a
trailing slash is no other path, and a WebSocket's path without an upgrade is a 426.
"""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from re import Pattern
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.metrics import Metrics
from app.web.problems import Problem

log = structlog.get_logger(__name__)

NO_UPGRADE: Final = (
    "This is a WebSocket's path, and the request came without Upgrade: websocket. If a WebSocket "
    "client sent it, a proxy in between does not pass the upgrade on."
)


class Edges:
    """Middleware. `websockets` are the patterns of WebSocket paths, `pages` keep their slash."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        websockets: Collection[Pattern[str]] = (),
        pages: Collection[str] = (),
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._websockets = websockets
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path.endswith("/") and len(path) > 1 and path not in self._pages:
            scope = _without_slash(scope)
        await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if any(pattern.fullmatch(scope["path"]) for pattern in self._websockets):
            await self._without_upgrade(method)(scope, receive, send)
        elif method == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _headers_only(send))
        elif method == "OPTIONS":
            await self._app(scope, receive, _methods_only(send))
        else:
            await self._app(scope, receive, send)

    def _without_upgrade(self, method: str) -> Response:
        if method == "OPTIONS":
            return Response(status_code=204, headers={"allow": "GET, OPTIONS"})
        if method not in ("GET", "HEAD"):
            return Problem(405, "Method Not Allowed", NO_UPGRADE, {"allow": "GET, OPTIONS"})
        self._metrics.refusals_total.labels("no_upgrade").inc()
        log.info("browser_refused", code=426, reason="no_upgrade")
        headers = {"upgrade": "websocket", "connection": "upgrade"}
        return Problem(426, "Upgrade Required", NO_UPGRADE, headers)


def _without_slash(scope: Scope) -> Scope:
    cut = {**scope, "path": scope["path"][:-1]}
    raw = scope.get("raw_path")
    if raw is not None:
        cut["raw_path"] = raw[:-1] if raw.endswith(b"/") else raw
    return cut


def _headers_only(send: Send) -> Send:
    """Send what a GET would be answered, without the body, which may be endless."""
    over = False

    async def sending(message: Message) -> None:
        nonlocal over
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            over = True
        elif not over:
            await send(message)

    return sending


def _methods_only(send: Send) -> Send:
    """Send the methods that a path takes, where it would be answered by 405."""
    allowed = False

    async def sending(message: Message) -> None:
        nonlocal allowed
        if (
            message["type"] == "http.response.start"
            and message["status"] == HTTPStatus.METHOD_NOT_ALLOWED
        ):
            allowed = True
            methods = [value for name, value in message["headers"] if name == b"allow"]
            allow = b", ".join((*methods, b"OPTIONS"))
            if b"GET" in allow:
                allow += b", HEAD"
            await send({**message, "status": 204, "headers": [(b"allow", allow)]})
        elif not allowed:
            await send(message)
        elif not message.get("more_body", False):
            await send({"type": "http.response.body", "body": b""})

    return sending
