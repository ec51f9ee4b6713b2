"""A real HTTP server on loopback whose every answer a test writes, byte for byte if it wants."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.support.listening import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)


Answer = Callable[[Seen], "bytes | Awaitable[bytes]"]


def answer(status: int = 200, body: Any = None, **headers: str) -> bytes:
    """Write an answer; what is no bytes becomes JSON. Header names take `_` for `-`."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Answer", f"content-length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


async def hang(_seen: Seen) -> bytes:
    await asyncio.Event().wait()
    return b""


class Server:
    """Answers in the order of `answers`, the last one for ever; `seen` holds what was asked."""

    def __init__(self, *answers: bytes | Answer) -> None:
        self.answers: list[bytes | Answer] = list(answers) or [answer()]
        self.seen: list[Seen] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ")
                pairs = (line.split(": ", 1) for line in head[1:] if ": " in line)
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                seen = Seen(method, target, headers, body)
                self.seen.append(seen)
                made = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not isinstance(made, bytes):
                    result = made(seen)
                    made = result if isinstance(result, bytes) else await result
                writer.write(made)
                await writer.drain()
                if not made:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(
    *answers: bytes | Answer,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    made: Server | None = None,
) -> AsyncIterator[Server]:
    made = made or Server(*answers)
    async with listening(made._serve, host=host, tls=tls) as made.port:
        yield made


async def closed_port() -> int:
    """Return a port of 127.0.0.1 where nobody listens."""
    listening = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port: int = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    return port
