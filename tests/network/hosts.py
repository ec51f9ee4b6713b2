"""Hosts on loopback as bad networks have them: one that swallows SYNs, and proxies."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

from app.network import connect
from tests.support.listening import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

SILENT = "127.0.0.7"


@contextmanager
def silence(port: int, address: str = SILENT) -> Iterator[None]:
    """Swallow every SYN to an address: its listener's backlog is full, and nobody accepts."""
    listening = socket.socket()
    waiting: list[socket.socket] = []
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(4):
            made = socket.socket()
            waiting.append(made)
            made.setblocking(False)
            with suppress(BlockingIOError):
                made.connect((address, port))
        yield
    finally:
        for made in (listening, *waiting):
            made.close()


class Names:
    """A resolver that knows what a test tells it, and what it was asked."""

    def __init__(self, **known: Sequence[str]) -> None:
        self.known = {name.replace("_", "."): addresses for name, addresses in known.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[str]:
        self.asked.append(host)
        if host in self.known:
            return self.known[host]
        raise OSError("no such name")


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """An HTTP proxy on loopback. It alone knows the names of `hosts`, each an address and port.

    `asked` holds the request lines, `authorized` the Proxy-Authorization of each.
    """

    def __init__(self, hosts: Mapping[str, tuple[str, int]], said: bytes | None = None) -> None:
        self.hosts = hosts
        self.said = said
        self.port = 0
        self.asked: list[str] = []
        self.authorized: list[str | None] = []
        self.heads: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        line, *fields = head.decode("latin-1").split("\r\n")
        named = dict(field.lower().partition(": ")[::2] for field in fields)
        self.heads.append(head)
        self.asked.append(line)
        original = next((f for f in fields if f.lower().startswith("proxy-authorization: ")), None)
        self.authorized.append(original.partition(": ")[2] if original else None)
        assert "host" in named
        if self.said is not None:
            writer.write(self.said)
            writer.close()
            return
        await self._pass_on(line, head, reader, writer)

    async def _pass_on(
        self, line: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, _ = line.split(" ")
        whole = target if method == "CONNECT" else target.split("/")[2]
        host, port = self.hosts.get(whole.rpartition(":")[0] or whole, ("", 0))
        if not host:
            writer.write(b"HTTP/1.1 503 No such host\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        there, back = await asyncio.open_connection(host, port)
        try:
            await self._joined(line, head, (reader, writer), (there, back))
        finally:
            for end in (back, writer):
                end.transport.abort()
                with suppress(ConnectionError):
                    await end.wait_closed()

    async def _joined(self, line: str, head: bytes, asking: Ends, asked: Ends) -> None:
        (reader, writer), (there, back) = asking, asked
        method, target, _ = line.split(" ")
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        else:
            path = "/" + target.split("/", 3)[3]
            plain = head.replace(target.encode(), path.encode(), 1)
            plain = re.sub(rb"(?i)\r\nproxy-authorization: [^\r]*", b"", plain)
            # One request for each connection: what comes behind need not be rewritten.
            back.write(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"\r\nConnection: close", plain))
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxying(said: bytes | None = None, **hosts: tuple[str, int]) -> AsyncIterator[Proxy]:
    """A proxy for the time of a block; names of hosts take `_` for a dot."""
    proxy = Proxy({name.replace("_", "."): where for name, where in hosts.items()}, said)
    async with listening(proxy.serve) as proxy.port:
        yield proxy


async def reached(host: str, port: int, names: Names) -> str:
    """Connect, and return the address that answered."""
    made = await connect(host, port, resolve=names)
    with made:
        address: str = made.getpeername()[0]
        return address
