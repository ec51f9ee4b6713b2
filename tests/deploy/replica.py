"""A stand-in for a gateway replica: echoes over WebSocket, is ready or not, notes what it saw."""

from __future__ import annotations

import http
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "x-replica"
PROTOCOL = Subprotocol("blackbox-relay.v1")


class Replica:
    """One listening port. `ready` is what /readyz says; `seen` are the handshakes that came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = True
        self.seen: list[Request] = []
        self._server: Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        self._server = await serve(
            self._echo,
            "127.0.0.1",
            port,
            process_request=self._answer,
            subprotocols=[PROTOCOL],
            ping_interval=None,
            compression=None,
        )

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _echo(self, connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    def _answer(self, _: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/readyz":
            return self._response(200 if self.ready else 503)
        if "Upgrade" not in request.headers:
            return self._response(200)
        self.seen.append(request)
        return None

    def _response(self, status: int) -> Response:
        body = self.name.encode()
        headers = Headers(
            {NAME: self.name, "Content-Length": str(len(body)), "Connection": "close"}
        )
        return Response(status, http.HTTPStatus(status).phrase, headers, body)


@asynccontextmanager
async def replicas() -> AsyncIterator[tuple[Replica, Replica]]:
    """Two of them, stopped at the end."""
    pair = Replica("one"), Replica("two")
    try:
        for replica in pair:
            await replica.start()
        yield pair
    finally:
        for replica in pair:
            await replica.stop()
