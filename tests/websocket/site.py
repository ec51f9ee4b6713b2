"""uvicorn within the test's own loop, so that its state can be looked at."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from typing import Any, Self

import uvicorn

from app.server.http_protocol import make_protocols
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits
from tests.support.waiting import until
from tests.websocket.peers import HANDSHAKE, PATIENCE, Client


class _Server(uvicorn.Server):
    """Leaves the test runner's signals alone."""

    def capture_signals(self) -> Any:
        return nullcontext()


class Site:
    """A running server: with the native upgrade, or uvicorn as it comes."""

    def __init__(self, app: Any, *, upgrade: bool = True, **limits: Any) -> None:
        self.batcher = IoBatcher()
        protocols: dict[str, Any] = {"ws": "websockets-sansio"}
        if upgrade:
            http, ws = make_protocols(WireLimits(**limits), self.batcher)
            protocols = {"http": http, "ws": ws}
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
