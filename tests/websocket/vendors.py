"""Upstreams that answer a dial as they are told."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from websockets.utils import accept_key

from app.websocket.client import DialError, dial
from app.websocket.limits import WireLimits
from tests.websocket.handlers import Owner
from tests.websocket.peers import PATIENCE

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

KEY = "k3y-that-must-not-leak"
LIMITS = WireLimits()
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n%s\r\n"
)


@asynccontextmanager
async def answering(
    answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A TCP server that answers a request as it is told; gives its port and what it was asked."""
    asked: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        asked.append(request)
        await answer(request, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def saying(said: bytes, *, close: bool = True) -> Any:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        if close:
            writer.close()

    return answer


def accepting(behind: bytes = b"", extra: bytes = b"", *, wrong: bool = False) -> Any:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        key = next(
            line.split(b": ", 1)[1]
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        token = b"wrong" if wrong else accept_key(key.decode()).encode()
        writer.write(ACCEPTED % (token, extra) + behind)

    return answer


def url(port: int, scheme: str = "ws", host: str = "127.0.0.1") -> SecretStr:
    return SecretStr(f"{scheme}://{host}:{port}/api/v1/ws/dev?authorization={KEY}")


def assert_tells_no_key(error: BaseException) -> None:
    seen: BaseException | None = error
    assert KEY not in "".join(traceback.format_exception(error))
    while seen is not None:
        assert KEY not in repr(seen)
        assert KEY not in str(seen)
        seen = seen.__cause__ or seen.__context__


async def failure(where: SecretStr | str, **options: Any) -> DialError:
    options.setdefault("timeout", PATIENCE)
    with pytest.raises(DialError) as failed:
        await dial(where, limits=LIMITS, **options)
    assert_tells_no_key(failed.value)
    return failed.value


async def opened(port: int, **options: Any) -> Owner:
    batcher = options.pop("batcher", None)
    socket = await dial(url(port), limits=WireLimits(**options), timeout=PATIENCE, batcher=batcher)
    owner = Owner(socket)
    owner.text_received = owner.heard.append  # type: ignore[method-assign, assignment]
    socket.open(owner)
    return owner
