"""A browser's opening handshake: always answered, and no byte behind it is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect

from tests.websocket.handlers import Owner, Taker
from tests.websocket.peers import HANDSHAKE, TEXT, frame
from tests.websocket.site import Site

if TYPE_CHECKING:
    from app.server.interface import Upgrade


async def test_frames_behind_the_handshake_are_delivered_first() -> None:
    taker = Taker()
    ready = asyncio.Event()

    async def endpoint(upgrade: Upgrade) -> None:
        socket = await upgrade.accept()
        await ready.wait()
        owner = Owner(socket)
        socket.open(owner)
        taker.owners.put_nowait(owner)

    async with Site(endpoint) as site, connect(site.url) as peer:
        await peer.send("early")
        await peer.send("bird")
        ready.set()
        assert [await peer.recv(), await peer.recv()] == ["early", "bird"]
        owner = await taker.owner()
        assert owner.heard[:2] == [b"early", b"bird"]


async def test_frames_in_one_piece_with_the_handshake_are_delivered_too() -> None:
    async with Site(Taker()) as site:
        client = await site.open(HANDSHAKE % (b"/ws", b"") + frame(TEXT, b"eager"))
        await client.within(client.reader.readuntil(b"\r\n\r\n"))
        assert await client.receive() == (TEXT, b"eager")


async def test_frames_that_come_before_the_answer_are_kept_in_order() -> None:
    taker, asked, ready = Taker(), asyncio.Event(), asyncio.Event()

    async def endpoint(upgrade: Upgrade) -> None:
        asked.set()
        await ready.wait()
        await taker(upgrade)

    async with Site(endpoint) as site:
        client = await site.open(HANDSHAKE % (b"/ws", b"") + frame(TEXT, b"one"))
        await asked.wait()
        client.writer.write(frame(TEXT, b"two") + frame(TEXT, b"three"))
        await client.writer.drain()
        ready.set()
        await client.within(client.reader.readuntil(b"\r\n\r\n"))
        for said in (b"one", b"two", b"three"):
            assert await client.receive() == (TEXT, said)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HANDSHAKE % (b"/ws", b"Content-Length: 5\r\n") + b"hello", 400),
        (HANDSHAKE % (b"/ws", b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 400),
        (HANDSHAKE % (b"/\xc3\xbc", b""), 400),
        ((HANDSHAKE % (b"/ws", b"")).replace(b"HTTP/1.1", b"HTTP/1.0"), 505),
        ((HANDSHAKE % (b"/ws", b"")).replace(b"Version: 13", b"Version: 8"), 426),
        ((HANDSHAKE % (b"/ws", b"")).replace(b"GET", b"POST"), 405),
        ((HANDSHAKE % (b"/ws", b"")).replace(b"dGhl", b"dG~l"), 400),
        (HANDSHAKE % (b"/ws", b"X: " + b"y" * 30_000 + b"\r\n"), 431),
        (HANDSHAKE % (b"/ws", b"X: y\r\n" * 500), 431),
        (HANDSHAKE % (b"/" + b"y" * 30_000, b""), 414),
        (HANDSHAKE % (b"/ws", b"X: " + b"y" * 16_000 + b"\r\n" + b"X: y\r\n" * 100), 101),
    ],
    ids=[
        "body",
        "chunks",
        "path",
        "1.0",
        "version",
        "method",
        "key",
        "long line",
        "many lines",
        "long path",
        "long enough",
    ],
)
async def test_every_handshake_has_an_answer(request_: bytes, status: int) -> None:
    async with Site(Taker()) as site:
        client = await site.open(request_)
        head = await client.within(client.reader.readuntil(b"\r\n\r\n"))
        assert head.startswith(b"HTTP/1.1 %d " % status)
        if status != 101:
            await client.gone()
