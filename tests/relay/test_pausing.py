"""A real socket that was written to before it had an owner says so to its owner."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from websockets.asyncio.server import ServerConnection, serve

from app.wire.dial import dial
from app.wire.limits import WireLimits
from app.wire.wiring import Wiring
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.wire.socket import Closed

MIB = 1 << 20


class Owner:
    """Writes down what it hears of writing."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def text_received(self, payload: bytes) -> None: ...

    def binary_received(self, size: int) -> None: ...

    def batch_received(self) -> None: ...

    def failing(self, code: int) -> None: ...

    def writing_paused(self) -> None:
        self.heard.append("paused")

    def writing_resumed(self) -> None:
        self.heard.append("resumed")

    def connection_lost(self, closed: Closed) -> None: ...


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
        socket = await dial(url, limits=WireLimits(), timeout=20, wiring=Wiring())
        for _ in range(32):
            socket.send_text(b"x" * MIB)
        socket.flush()
        owner = Owner()
        socket.open(owner)
        reads.set()
        assert owner.heard == ["paused"]
        await until(lambda: owner.heard == ["paused", "resumed"], within=60)
        socket.abort()
