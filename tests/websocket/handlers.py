"""Owners of sockets, and the endpoint that gives every upgrade one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.websocket.peers import PATIENCE

if TYPE_CHECKING:
    from app.server.interface import Upgrade
    from app.websocket.interface import CloseEvent, Socket


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
    """An endpoint that accepts every upgrade and gives its socket an owner."""

    def __init__(self) -> None:
        self.owners: asyncio.Queue[Owner] = asyncio.Queue()

    async def __call__(self, upgrade: Upgrade) -> None:
        socket = await upgrade.accept()
        owner = Owner(socket)
        socket.open(owner)
        self.owners.put_nowait(owner)

    async def owner(self) -> Owner:
        async with asyncio.timeout(PATIENCE):
            return await self.owners.get()
