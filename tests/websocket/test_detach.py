"""An owner that was detached from a real socket hears nothing more of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection, serve

from app.websocket.client import dial
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.websocket.connection import Connection
    from app.websocket.interface import CloseEvent


class Owner:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.closed: list[CloseEvent] = []

    def text_received(self, payload: bytes) -> None:
        self.texts.append(payload)

    def binary_received(self, size: int) -> None: ...

    def read_complete(self) -> None: ...

    def protocol_error(self, code: int) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def connection_lost(self, closed: CloseEvent) -> None:
        self.closed.append(closed)


async def echoes(ws: ServerConnection) -> None:
    async for word in ws:
        await ws.send(word)


async def dialled(port: int) -> Connection:
    url = f"ws://127.0.0.1:{port}/"
    return await dial(url, limits=WireLimits(), timeout=20, batcher=IoBatcher())


async def test_frames_and_the_end_go_to_the_owner_of_the_moment() -> None:
    async with serve(echoes, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        socket, first, second = await dialled(port), Owner(), Owner()
        socket.open(first)
        socket.send_text(b"one")
        await until(lambda: first.texts == [b"one"])
        socket.detach()
        socket.open(second)
        socket.send_text(b"two")
        await until(lambda: second.texts == [b"two"])
        socket.detach()
        other, last = await dialled(port), Owner()
        other.open(last)
        socket.close(1000)
        socket.abort()
        other.close(1000)
        await until(lambda: bool(last.closed))
        await asyncio.sleep(0)
        assert (first.texts, first.closed, second.closed) == ([b"one"], [], [])


async def test_an_end_that_was_due_is_not_told_to_an_owner_that_is_detached_by_then() -> None:
    async with serve(echoes, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        socket, watcher = await dialled(port), Owner()
        socket.open(watcher)
        socket.abort()
        await until(lambda: bool(watcher.closed))
        late, told = Owner(), Owner()
        socket.open(late)
        socket.detach()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert late.closed == []
        socket.open(told)
        await until(lambda: bool(told.closed))
        assert late.closed == []
