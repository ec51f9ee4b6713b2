"""A network that breaks: a TCP proxy that cuts each connection at a random byte."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

READ = 4096


class CuttingProxy:
    """Forwards each connection to one of `targets` (ports of loopback), chosen at random.

    A connection may pass so many bytes up, and so many down, drawn from `1..up` and `1..down`;
    the byte at which either is used up is the last that passes. So cuts fall into handshakes,
    into frames' headers and payloads, and between frames. One in two resets both sides (RST), the
    others end the two streams in order (FIN), without a close frame. What was read beyond is lost.
    """

    def __init__(self, targets: Sequence[int], seed: int, *, up: int, down: int) -> None:
        self.cuts = 0
        self.connections = 0
        self.cutting = True
        self.port = 0
        self.most = (up, down)
        self._targets = tuple(targets)
        self._random = random.Random(seed)  # noqa: S311 - a test's dice

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection until it is cut, or either side ends it."""
        self.connections += 1
        dice = self._random
        target, gently = dice.choice(self._targets), dice.random() < 0.5
        limits = [dice.randint(1, most) for most in self.most]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.transport.abort()
            return
        pumps = [
            asyncio.create_task(self._pump(reader, far_writer, limits[0])),
            asyncio.create_task(self._pump(far_reader, writer, limits[1])),
        ]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
        cut = any(pump.result() for pump in done)
        self.cuts += cut
        for each in (writer, far_writer):
            if cut and not gently:
                each.transport.abort()
            else:
                each.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int
    ) -> bool:
        """Pass bytes on; True once all that may pass have, False when the sender has ended."""
        with suppress(ConnectionError):
            while data := await reader.read(READ):
                passing = data[:left] if self.cutting else data
                writer.write(passing)
                await writer.drain()
                left -= len(passing)
                if self.cutting and left <= 0:
                    return True
        return False


@asynccontextmanager
async def cutting_proxy(
    targets: Sequence[int], seed: int, *, up: int = 4_000, down: int = 8_000
) -> AsyncIterator[CuttingProxy]:
    """A cutting proxy for the time of a block."""
    proxy = CuttingProxy(targets, seed, up=up, down=down)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, backlog=1024)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
