"""uvicorn within the test's own loop, so that its state can be looked at."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Self

import uvicorn

from app.server.asgi_upgrade import UpgradeMiddleware
from app.server.http_protocol import make_protocol
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits
from tests.support.waiting import until
from tests.websocket.peers import HANDSHAKE, PATIENCE, Client

if TYPE_CHECKING:
    from app.server.interface import Endpoint


class _Server(uvicorn.Server):
    """Leaves the test runner's signals alone."""

    def capture_signals(self) -> Any:
        return nullcontext()


async def no_http(scope: Any, *_: Any) -> None:
    raise AssertionError(scope)


class Site:
    """A running server with an endpoint: by the native upgrade, or by uvicorn as it comes."""

    def __init__(
        self, endpoint: Endpoint, *, app: Any = no_http, native: bool = True, **limits: Any
    ) -> None:
        self.batcher = IoBatcher()
        bounds = WireLimits(**limits)
        protocols: dict[str, Any] = {"ws": "websockets-sansio"}
        if native:
            protocols = {"http": make_protocol(endpoint, bounds, self.batcher), "ws": "none"}
        else:
            app = UpgradeMiddleware(app, endpoint, bounds)
        config = uvicorn.Config(
            app,
            port=0,
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
            **protocols,
        )
        self.server = _Server(config)
        self._clients: list[Client] = []
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return f"ws://127.0.0.1:{port}/ws"

    async def __aenter__(self) -> Self:
        self._serving = asyncio.create_task(self.server.serve())
        await until(lambda: self.server.started)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._serving is not None
        for client in self._clients:
            await client.leave()
        self.server.should_exit = True
        async with asyncio.timeout(PATIENCE):
            await self._serving

    async def open(self, sent: bytes) -> Client:
        """Open TCP, and send this."""
        port = self.server.servers[0].sockets[0].getsockname()[1]
        client = Client(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 22))
        self._clients.append(client)
        client.writer.write(sent)
        return client

    async def connect(self) -> Client:
        """Open a WebSocket by hand."""
        client = await self.open(HANDSHAKE % (b"/ws", b""))
        with suppress(asyncio.IncompleteReadError):
            client.head = await client.within(client.reader.readuntil(b"\r\n\r\n"))
        return client
