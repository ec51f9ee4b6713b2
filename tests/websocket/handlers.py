"""Owners of sockets, and ASGI applications that take them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from app.server.interface import take_over
from tests.websocket.peers import PATIENCE

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from app.websocket.interface import CloseEvent, Socket
    from app.websocket.limits import WireLimits


class Owner:
    """Writes down what it hears, and echoes."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.heard: list[Any] = []
        self.ended: asyncio.Future[CloseEvent] = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()

    def text_received(self, payload: bytes) -> None:
        self.heard.append(payload)
        self.socket.send_text(payload)
        self.news.set()

    def binary_received(self, size: int) -> None:
        self.heard.append(size)
        self.news.set()

    def read_complete(self) -> None:
        self.heard.append("batch")

    def pause_writing(self) -> None:
        self.heard.append("paused")
        self.news.set()

    def resume_writing(self) -> None:
        self.heard.append("resumed")
        self.news.set()

    def protocol_error(self, code: int) -> None:
        self.socket.send_text(b"failing %d" % code)

    def connection_lost(self, closed: CloseEvent) -> None:
        assert not self.ended.done(), "told twice"
        self.ended.set_result(closed)

    async def end(self) -> CloseEvent:
        async with asyncio.timeout(PATIENCE):
            return await self.ended

    async def until(self, *wanted: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not all(word in self.heard for word in wanted):
                self.news.clear()
                await self.news.wait()


class Taker:
    """An ASGI application that takes every socket and gives it an owner."""

    def __init__(self, limits: WireLimits | None = None) -> None:
        self.limits = limits
        self.owners: asyncio.Queue[Owner] = asyncio.Queue()

    async def __call__(self, websocket: WebSocket) -> None:
        await websocket.accept()
        socket = take_over(websocket, self.limits)
        owner = Owner(socket)
        socket.open(owner)
        self.owners.put_nowait(owner)
        await socket.run()

    async def owner(self) -> Owner:
        async with asyncio.timeout(PATIENCE):
            return await self.owners.get()


def asgi(handler: Any) -> Starlette:
    async def endpoint(websocket: WebSocket) -> None:
        await handler(websocket)

    return Starlette(routes=[WebSocketRoute("/{rest:path}", endpoint)])
