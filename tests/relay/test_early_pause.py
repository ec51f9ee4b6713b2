"""A real socket that was written to before it had an owner says so to its owner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection, serve

from app.websocket.client import dial
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.websocket.interface import CloseEvent

MIB = 1 << 20


class Owner:
    """Writes down what it hears of writing."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def text_received(self, payload: bytes) -> None: ...

    def binary_received(self, size: int) -> None: ...

    def read_complete(self) -> None: ...

    def protocol_error(self, code: int) -> None: ...

    def pause_writing(self) -> None:
        self.heard.append("paused")

    def resume_writing(self) -> None:
        self.heard.append("resumed")

    def connection_lost(self, closed: CloseEvent) -> None: ...


async def test_owner_hears_that_its_peer_reads_slowly_although_it_came_later() -> None:
    reads = asyncio.Event()

    async def peer(ws: ServerConnection) -> None:
        await reads.wait()
        async for _ in ws:
            pass

    options = {"max_queue": 1, "compression": None, "max_size": None}
    async with serve(peer, "127.0.0.1", 0, **options) as server:  # type: ignore[arg-type]
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}/"
        socket = await dial(url, limits=WireLimits(), timeout=20, batcher=IoBatcher())
        for _ in range(32):
            socket.send_text(b"x" * MIB)
        socket.flush()
        owner = Owner()
        socket.open(owner)
        reads.set()
        assert owner.heard == ["paused"]
        await until(lambda: owner.heard == ["paused", "resumed"], within=60)
        socket.abort()
