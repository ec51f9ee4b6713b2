"""Requests of any shape through the shipped nginx and HAProxy, on connections that others share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.deploy.balancer import STARTERS
from tests.deploy.test_smuggling import VICTIM, answers_health, exchange
from tests.support.waiting import until
from tests.websocket.boundaries import read_by_h11
from tests.websocket.peers import HANDSHAKE
from tests.websocket.site import Site
from tests.websocket.streams import SMUGGLED, stream
from tests.websocket.test_request_boundaries import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

STREAMS = 150
LINES = (
    b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    b"Content-Length: 5\r\nContent-Length: 44\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length : 5\r\n",
    b"X: y\r\n Content-Length: 5\r\n",
    b"X: y\nContent-Length: 5\r\n",
    b"X: y\rContent-Length: 5\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n",
    b"Expect: 100-continue\r\nContent-Length: 5\r\n",
    b"Connection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 5\r\n",
    b"Connection: Upgrade\r\nConnection: keep-alive\r\nUpgrade: h2c\r\nContent-Length: 5\r\n",
    b"Connection: Content-Length\r\nContent-Length: 5\r\n",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
)


def corpus() -> Iterable[bytes]:
    """Heads whose end could be read in two ways, each with a request behind it."""
    for lines in LINES:
        for method in (b"GET", b"POST"):
            head = method + b" /first HTTP/1.1\r\nHost: test\r\n" + lines + b"\r\n"
            yield head + b"0\r\n\r\n" + SMUGGLED
    for number in range(STREAMS):
        yield stream(Random(number)).data  # noqa: S311 - to be had again


@asynccontextmanager
async def sender(port: int, sent: bytes) -> AsyncIterator[None]:
    """A connection that has sent this, and stays for a block whether it is answered or not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with suppress(ConnectionError, TimeoutError):
            writer.write(sent)
            async with asyncio.timeout(0.05):  # an answer is not always due
                await writer.drain()
                await reader.read(1 << 16)
        yield
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("kind", list(STARTERS))
async def test_no_body_arrives_as_a_request_and_each_victim_gets_its_own_answer(
    kind: str, tmp_path: Path
) -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        port = site.url.split(":")[2].partition("/")[0]
        balancer = STARTERS[kind](tmp_path, [f"127.0.0.1:{port}"] * 2)
        try:
            await until(lambda: answers_health(balancer), within=60, every=0.2)
            whole: set[str] = set()  # targets of requests that may arrive, also behind their turn
            for number, asked in enumerate(corpus()):
                sent = asked.replace(b"smuggled", b"smug%04d" % number)
                whole.update(seen.target.decode("latin-1") for seen in read_by_h11(sent).requests)
                recorder.seen.clear()
                async with sender(balancer.public, sent):
                    victim = await exchange(balancer.public, VICTIM)
                assert victim.endswith(b"GET /healthz 0"), (sent, victim)
                for method, target, _ in list(recorder.seen):
                    assert "smug" not in target or target in whole, (method, target, sent)
        finally:
            balancer.stop()


@pytest.mark.parametrize("kind", list(STARTERS))
async def test_a_websockets_upgrade_passes_whatever_stands_beside_it(
    kind: str, tmp_path: Path
) -> None:
    recorder = Recorder()
    offers = (
        b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n",
        b"Upgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n",
        b"Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n",
    )
    async with Site(recorder.on_upgrade, app=recorder) as site:
        port = site.url.split(":")[2].partition("/")[0]
        balancer = STARTERS[kind](tmp_path, [f"127.0.0.1:{port}"] * 2)
        try:
            await until(lambda: answers_health(balancer), within=60, every=0.2)
            for offer in offers:
                asked = HANDSHAKE.replace(b"Upgrade: websocket\r\nConnection: Upgrade\r\n", offer)
                reader, writer = await asyncio.open_connection("127.0.0.1", balancer.public)
                writer.write(asked % (b"/ws", b"X: " + b"y" * 16_000 + b"\r\n"))
                async with asyncio.timeout(20):
                    got = await reader.readuntil(b"\r\n\r\n")
                assert got.startswith(b"HTTP/1.1 101 "), (offer, got)
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()
        finally:
            balancer.stop()
