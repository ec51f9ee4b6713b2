"""A replica, as far as state and bridges go; as a program, one that echoes."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from app.cluster.bridge import Bridges
from app.cluster.commands import Attach, decode
from app.cluster.factory import open_bridges
from app.protocol.errors import StoreUnavailable
from app.state.redis import RedisState, Timings
from tests.cluster.sockets import Owner
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from app.cluster.remote_socket import BridgeTimings
    from app.protocol.close_codes import CloseReason
    from app.websocket.interface import Socket
    from tests.support.redis import RedisServer

TIMINGS = Timings(timeout=2.0, alive=1.5)


def hang_up(browser: Any, reason: CloseReason) -> None:
    browser.reason = reason
    browser.close(reason.code, reason.name)


def warn(browser: Any, code: int) -> None:
    browser.send_text(b"failing: %d" % code)


class Replica:
    """One gateway process, as far as bridges go. `freeze` is its death without a word."""

    def __init__(
        self,
        url: str,
        name: str,
        prefix: str,
        owner: Callable[[Socket], Owner] = Owner,
        timings: BridgeTimings | None = None,
    ) -> None:
        self.name = name
        self.state = RedisState(url, name, prefix=prefix, timings=TIMINGS)
        opened = open_bridges(
            self.state,
            name,
            reject=hang_up,
            send_error=warn,
            timings=timings,
        )
        assert isinstance(opened, Bridges)
        self.bridges = opened
        self._owner = owner
        self.owners: list[Owner] = []
        self.attached: list[Attach] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(work)
            for work in (self.state.run(), self.bridges.run(), self._listen())
        ]

        async def is_alive() -> bool:
            try:
                return await self.state.alive(self.name)
            except StoreUnavailable:
                return False

        await until(is_alive)

    async def freeze(self) -> None:
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended
        self._tasks = []

    async def stop(self) -> None:
        await self.freeze()
        await self.bridges.close()
        await self.state.close()

    async def _listen(self) -> None:
        async for message in self.state.inbox():
            attach = decode(message)
            assert isinstance(attach, Attach)
            self.attached.append(attach)
            self.owners.append(self._owner(self.bridges.accept(attach)))


@asynccontextmanager
async def replicas(
    server: RedisServer, prefix: str, timings: BridgeTimings | None = None
) -> AsyncIterator[tuple[Replica, Replica]]:
    a = Replica(server.url, "a", prefix, timings=timings)
    b = Replica(server.url, "b", prefix, timings=timings)
    await asyncio.gather(a.start(), b.start())
    try:
        yield a, b
    finally:
        await a.stop()
        await b.stop()


class Echo(Owner):
    def text_received(self, payload: bytes) -> None:
        self.socket.send_text(payload)


async def echo(url: str, prefix: str) -> None:
    replica = Replica(url, "a", prefix, Echo)
    await replica.start()
    print("alive", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(echo(*sys.argv[1:]))
