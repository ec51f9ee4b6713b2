"""A TCP proxy that cuts: the network between a browser and the gateway, at its worst."""

from __future__ import annotations

import asyncio
import contextlib
import random

from tests.support.tcp_proxy import TcpProxy


class Cutter(TcpProxy):
    """Forwards to `target` on 127.0.0.1, and resets a connection after a random number of bytes.

    Both directions count: a cut falls inside handshakes, inside frames, and between them. What was
    read and not forwarded is lost, as it is when a machine's network goes. Every `spare`-th
    connection lives long, so that a conversation makes progress.
    """

    def __init__(self, target: int, seed: int, most: int = 6000) -> None:
        super().__init__(target)
        self.cuts = 0
        self.cutting = True
        self._random = random.Random(seed)  # noqa: S311 - a test's dice
        self._most = most

    def cut_all(self) -> None:
        """Reset whatever is connected now."""
        self.reset()
        self.cuts += 1

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(
                "127.0.0.1", self.target
            )
        except OSError:
            writer.transport.abort()
            return
        both = {writer, upstream_writer}
        self.writers |= both
        budget = [self._random.randrange(200, self._most)]
        pumps = [
            asyncio.ensure_future(self._pump(reader, upstream_writer, budget)),
            asyncio.ensure_future(self._pump(upstream_reader, writer, budget)),
        ]
        _, waiting = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in waiting:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for each in both:
            each.transport.abort()
        self.writers -= both

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: list[int]
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                if self.cutting:
                    budget[0] -= len(data)
                    if budget[0] <= 0:
                        # A part of it may still get through: a cut is inside a frame, too.
                        writer.write(data[: self._random.randrange(len(data))])
                        await writer.drain()
                        self.cuts += 1
                        return
                writer.write(data)
                await writer.drain()
