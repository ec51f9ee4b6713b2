"""A TCP proxy on loopback, whose tests decide what passes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class TcpProxy(ABC):
    """Listens on `port` of 127.0.0.1; what a connection does to `target` is the subclass's."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.target = target
        self.writers: set[asyncio.StreamWriter] = set()

    @abstractmethod
    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; all its writers belong in `writers`, to be reset at the end."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Listen for the time of a block; then every connection is reset."""
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.reset()

    def reset(self) -> None:
        """Reset whatever is connected now."""
        for writer in tuple(self.writers):
            writer.transport.abort()
