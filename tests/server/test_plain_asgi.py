"""Plain ASGI: on top of the native server, and on uvicorn's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect

from app.server.asgi_upgrade import AsgiSocket
from app.server.interface import take_over
from app.websocket.interface import CloseEvent
from app.websocket.limits import WireLimits
from tests.websocket.handlers import Owner, Taker, asgi
from tests.websocket.peers import TEXT, serve
from tests.websocket.site import Site

# Plain ASGI on top of the native server


async def plain_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await websocket.send({**message, "type": "websocket.send"})
    except WebSocketDisconnect:
        return


async def test_a_handler_that_does_not_take_the_lane_has_plain_asgi() -> None:
    async with Site(asgi(plain_echo)) as site, connect(site.url) as peer:
        for said in ("one", b"two", "x" * 60_000):
            await peer.send(said)
            assert await peer.recv() == said


async def test_plain_asgi_may_refuse_with_a_close_code() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("no")
        await websocket.close(4404, "no such agent")

    async with Site(asgi(handler)) as site, connect(site.url) as peer:
        assert await peer.recv() == "no"
        await peer.wait_closed()
        assert (peer.close_code, peer.close_reason) == (4404, "no such agent")


async def test_plain_asgi_that_returns_is_closed() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        assert await websocket.receive_text() == "hello"

    async with Site(asgi(handler)) as site, connect(site.url) as peer:
        await peer.send("hello")
        await peer.wait_closed()
        assert peer.close_code == 1000


async def test_plain_asgi_hears_of_the_end_and_cannot_send_after_it() -> None:
    ended: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except WebSocketDisconnect as gone:
            ended.put_nowait((gone.code, gone.reason))
        try:
            await websocket.send_text("late")
        except (WebSocketDisconnect, RuntimeError):
            ended.put_nowait("refused")

    async with Site(asgi(handler)) as site:
        peer = await connect(site.url)
        await peer.close(3001, "bye")
        assert await ended.get() == (3001, "bye")
        assert await ended.get() == "refused"


# Without the native upgrade: Starlette's own test client, and uvicorn as it comes


def test_take_works_over_plain_asgi_without_a_server() -> None:
    kinds: list[type] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = take_over(websocket)
        kinds.append(type(socket))
        owner = Owner(socket)
        socket.open(owner)
        await socket.run()

    with TestClient(asgi(handler)).websocket_connect("/") as peer:
        peer.send_text("grüße")
        assert peer.receive_text() == "grüße"
        peer.send_bytes(b"123")
        peer.send_text("after")
        assert peer.receive_text() == "after"
    assert kinds == [AsgiSocket]


@pytest.fixture
async def plain() -> Any:
    """A site of uvicorn's own protocols, and its taker."""
    taker = Taker(WireLimits(max_message=1000, high_water=2000, low_water=1000))
    async with Site(asgi(taker), upgrade=False) as site:
        yield site, taker


async def test_plain_asgi_without_the_lane_echoes(plain: Any) -> None:
    site, taker = plain
    async with connect(site.url) as peer:
        owner = await taker.owner()
        assert isinstance(owner.socket, AsgiSocket)
        await peer.send("hello")
        assert await peer.recv() == "hello"
        await peer.close(3000, "bye")
    assert await owner.end() == CloseEvent(3000, "bye", by_peer=True)


async def test_plain_asgi_without_the_lane_bounds_a_message(plain: Any) -> None:
    site, taker = plain
    async with connect(site.url) as peer:
        owner = await taker.owner()
        await peer.send("x" * 1001)
        await peer.wait_closed()
        assert peer.close_code == 1009
        assert await owner.end() == CloseEvent(1009, "", by_peer=False)


async def test_plain_asgi_without_the_lane_closes_after_what_waits(plain: Any) -> None:
    site, taker = plain
    async with connect(site.url) as peer:
        owner = await taker.owner()
        for number in range(5):
            owner.socket.send_text(b"%d" % number)
        owner.socket.close(4440, "max_duration")
        owner.socket.send_text(b"late")
        assert [await peer.recv() for _ in range(5)] == list("01234")
        await peer.wait_closed()
        assert peer.close_code == 4440
        assert (await owner.end()).by_peer is False


async def test_plain_asgi_without_the_lane_has_back_pressure(plain: Any) -> None:
    site, taker = plain
    client = (await site.connect()).deaf()
    owner = await taker.owner()
    while "paused" not in owner.heard:
        owner.socket.send_text(b"x" * 900)
    assert owner.socket.write_buffer_size > 2000
    client.writer.transport.resume_reading()
    await owner.until("resumed")
    owner.socket.pause_reading()
    client.send(TEXT, b"one")
    client.send(TEXT, b"two")
    owner.socket.resume_reading()
    await owner.until(b"one", b"two")
    owner.socket.abort()
    assert await owner.end() == CloseEvent(1006, "", by_peer=False)
    await client.gone()


async def test_a_real_process_without_uvloop_serves_the_lane_too() -> None:
    async with serve(loop="asyncio") as server:
        client = await server.connect()
        client.send(TEXT, b"hello")
        assert await client.receive() == (TEXT, b"hello")
