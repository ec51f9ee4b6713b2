"""The server side: the lane, plain ASGI with and without it, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.wire.asgi import AsgiSocket
from app.wire.browser import BrowserSocket
from app.wire.lane import EXTENSION, take
from app.wire.limits import WireLimits
from app.wire.socket import Closed, Socket
from tests.wire.peers import PATIENCE, PING, TEXT, frame, serve
from tests.wire.site import Site

MIB = 1 << 20


class Owner:
    """Writes down what it hears, and echoes."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.heard: list[Any] = []
        self.ended: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()

    def text_received(self, payload: bytes) -> None:
        self.heard.append(payload)
        self.socket.send_text(payload)
        self.news.set()

    def binary_received(self, size: int) -> None:
        self.heard.append(size)
        self.news.set()

    def batch_received(self) -> None:
        self.heard.append("batch")

    def writing_paused(self) -> None:
        self.heard.append("paused")
        self.news.set()

    def writing_resumed(self) -> None:
        self.heard.append("resumed")
        self.news.set()

    def failing(self, code: int) -> None:
        self.socket.send_text(b"failing %d" % code)

    def connection_lost(self, closed: Closed) -> None:
        assert not self.ended.done(), "told twice"
        self.ended.set_result(closed)

    async def end(self) -> Closed:
        async with asyncio.timeout(PATIENCE):
            return await self.ended

    async def until(self, *wanted: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while not all(word in self.heard for word in wanted):
                self.news.clear()
                await self.news.wait()


class Taker:
    """An ASGI application that takes every socket and gives it an owner."""

    def __init__(self, limits: WireLimits | None = None) -> None:
        self.limits = limits
        self.owners: asyncio.Queue[Owner] = asyncio.Queue()

    async def __call__(self, websocket: WebSocket) -> None:
        await websocket.accept()
        socket = take(websocket, self.limits)
        owner = Owner(socket)
        socket.open(owner)
        self.owners.put_nowait(owner)
        await socket.run()

    async def owner(self) -> Owner:
        async with asyncio.timeout(PATIENCE):
            return await self.owners.get()


def asgi(handler: Any) -> Starlette:
    async def endpoint(websocket: WebSocket) -> None:
        await handler(websocket)

    return Starlette(routes=[WebSocketRoute("/{rest:path}", endpoint)])


# With the lane


async def test_a_handler_may_return_and_its_socket_lives_on() -> None:
    taker = Taker()
    async with Site(asgi(taker)) as site, connect(site.url) as peer:
        owner = await taker.owner()
        assert isinstance(owner.socket, BrowserSocket)
        await peer.send("one")
        assert await peer.recv() == "one"
        await site.until(lambda: not site.server.server_state.tasks)  # the handler has returned
        await peer.send("two")
        assert await peer.recv() == "two"
    assert await owner.end() == Closed(1000, "", by_peer=True)


async def test_what_asgi_held_is_let_go() -> None:
    seen: list[weakref.ref[Any]] = []

    async def handler(websocket: WebSocket) -> None:
        seen.append(weakref.ref(websocket))
        lane = websocket.scope["extensions"][EXTENSION]
        seen.append(weakref.ref(lane._protocol))
        seen.append(weakref.ref(lane._protocol.conn))
        await taker(websocket)

    taker = Taker()
    async with Site(asgi(handler)) as site, connect(site.url) as peer:
        owner = await taker.owner()
        await site.until(lambda: not site.server.server_state.tasks)
        gc.collect()
        assert [ref() for ref in seen] == [None, None, None]
        await peer.send("still")
        await owner.until(b"still")


async def test_a_lane_is_taken_once() -> None:
    raised: asyncio.Queue[bool] = asyncio.Queue()

    async def handler(websocket: WebSocket) -> None:
        with pytest.raises(RuntimeError):
            take(websocket)
        await websocket.accept()
        take(websocket).close(1000)
        with pytest.raises(RuntimeError):
            take(websocket)
        raised.put_nowait(True)

    async with Site(asgi(handler)) as site:
        peer = await connect(site.url)
        assert await raised.get()
        await peer.wait_closed()
        assert peer.close_code == 1000


async def test_a_refusal_can_be_sent_without_an_owner() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = take(websocket)
        socket.send_text(b"no")
        socket.close(4401, "unauthenticated")
        socket.send_text(b"too late")
        socket.close(1000)

    async with Site(asgi(handler)) as site, connect(site.url) as peer:
        assert await peer.recv() == "no"
        with pytest.raises(ConnectionClosed) as closed:
            await peer.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "unauthenticated")


async def test_frames_behind_the_handshake_are_delivered_first() -> None:
    taker = Taker()
    ready = asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await ready.wait()
        socket = take(websocket)
        owner = Owner(socket)
        socket.open(owner)
        taker.owners.put_nowait(owner)

    async with Site(asgi(handler)) as site, connect(site.url) as peer:
        await peer.send("early")
        await peer.send("bird")
        ready.set()
        assert [await peer.recv(), await peer.recv()] == ["early", "bird"]
        owner = await taker.owner()
        assert owner.heard[:2] == [b"early", b"bird"]


async def test_a_batch_is_what_one_read_brought_and_is_written_in_one_piece() -> None:
    taker = Taker()
    async with Site(asgi(taker)) as site:
        client = await site.connect()
        client.writer.write(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c"))
        assert [await client.receive() for _ in range(3)] == [
            (TEXT, b"a"),
            (TEXT, b"b"),
            (TEXT, b"c"),
        ]
        assert (await taker.owner()).heard == [b"a", b"b", b"c", "batch"]


async def test_what_is_sent_outside_of_a_batch_is_written_at_once() -> None:
    taker = Taker()
    async with Site(asgi(taker)) as site, connect(site.url) as peer:
        owner = await taker.owner()
        owner.socket.send_text("ütf".encode())
        assert await peer.recv() == "ütf"


async def test_an_owner_is_forewarned_of_a_failure() -> None:
    taker = Taker()
    async with Site(asgi(taker)) as site, connect(site.url) as peer:
        await peer.send("x" * 70_000)
        assert await peer.recv() == "failing 1009"
        owner = await taker.owner()
        assert await owner.end() == Closed(1009, "", by_peer=False)
        await peer.wait_closed()
        assert peer.close_code == 1009


async def test_an_owner_that_closes_hears_the_answer_and_nothing_more() -> None:
    taker = Taker()
    async with Site(asgi(taker)) as site:
        client = await site.connect()
        owner = await taker.owner()
        owner.socket.close(4408, "idle")
        client.send(TEXT, b"crossing")
        client.send(PING)
        client.send(8, b"\x11\x38bye")
        assert await client.close_code() == 4408
        assert await owner.end() == Closed(4408, "bye", by_peer=False)
        assert owner.heard == []


async def test_a_close_that_is_not_answered_is_1006_after_its_time() -> None:
    taker = Taker()
    async with Site(asgi(taker), close_timeout=0.2) as site:
        await site.connect()
        owner = await taker.owner()
        owner.socket.close(1000)
        assert await owner.end() == Closed(1006, "", by_peer=False)
        await site.until(lambda: len(site.wiring.wheel) == 0)


async def test_an_abort_is_1006() -> None:
    taker = Taker()
    async with Site(asgi(taker)) as site:
        client = await site.connect()
        owner = await taker.owner()
        owner.socket.abort()
        await client.gone()
        assert await owner.end() == Closed(1006, "", by_peer=False)
        assert len(site.wiring.wheel) == 0


async def test_a_browser_that_vanishes_is_1006_by_the_peer() -> None:
    taker = Taker()
    async with Site(asgi(taker)) as site:
        client = await site.connect()
        owner = await taker.owner()
        await client.leave()
        assert await owner.end() == Closed(1006, "", by_peer=True)


async def test_a_socket_that_ended_before_it_was_opened_says_so() -> None:
    sockets: asyncio.Queue[Any] = asyncio.Queue()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        sockets.put_nowait(take(websocket))

    async with Site(asgi(handler)) as site:
        client = await site.connect()
        socket = await sockets.get()
        socket.abort()
        await client.gone()
        owner = Owner(socket)
        socket.open(owner)
        assert not owner.ended.done()
        assert await owner.end() == Closed(1006, "", by_peer=False)


async def test_a_slow_reader_pauses_its_writer_and_resumes_it() -> None:
    taker = Taker()
    async with Site(asgi(taker)) as site:
        client = (await site.connect()).deaf()
        owner = await taker.owner()
        sent = 0
        while "paused" not in owner.heard:
            owner.socket.send_text(b"x" * 65_000)
            sent += 65_000
        assert owner.socket.waiting > 0
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        taken = 0
        while taken < sent:
            taken += len((await client.receive())[1])
        await owner.until("resumed")
        assert owner.socket.waiting == 0


async def test_a_paused_socket_reads_nothing_and_is_not_taken_for_dead() -> None:
    taker = Taker()
    async with Site(asgi(taker), ping_interval=0.1, ping_timeout=0.1) as site:
        client = await site.connect()
        owner = await taker.owner()
        owner.socket.pause_reading()
        owner.socket.pause_reading()
        client.send(TEXT, b"wait")
        pings = 0
        while pings < 4:  # answered, and not read
            opcode, payload = await client.receive()
            assert opcode == PING
            client.send(10, payload)
            pings += 1
        assert owner.heard == []
        owner.socket.resume_reading()
        owner.socket.resume_reading()
        await owner.until(b"wait")


async def test_uvicorn_logs_neither_query_nor_headers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    taker = Taker()
    async with Site(asgi(taker)) as site, connect(f"{site.url}?ticket=s3cret") as peer:
        await peer.send("x")
        await peer.recv()
    assert "s3cret" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")
    )


async def test_a_denied_upgrade_is_plain_http() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.close()

    async with Site(asgi(handler)) as site:
        with pytest.raises(InvalidStatus) as refused:
            await connect(site.url)
        assert refused.value.response.status_code == 403


# Plain ASGI on top of the lane's server


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


# Without the lane: Starlette's own test client, and uvicorn as it comes


def test_take_works_over_plain_asgi_without_a_server() -> None:
    kinds: list[type] = []

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = take(websocket)
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
    async with Site(asgi(taker), lane=False) as site:
        yield site, taker


async def test_plain_asgi_without_the_lane_echoes(plain: Any) -> None:
    site, taker = plain
    async with connect(site.url) as peer:
        owner = await taker.owner()
        assert isinstance(owner.socket, AsgiSocket)
        await peer.send("hello")
        assert await peer.recv() == "hello"
        await peer.close(3000, "bye")
    assert await owner.end() == Closed(3000, "bye", by_peer=True)


async def test_plain_asgi_without_the_lane_bounds_a_message(plain: Any) -> None:
    site, taker = plain
    async with connect(site.url) as peer:
        owner = await taker.owner()
        await peer.send("x" * 1001)
        await peer.wait_closed()
        assert peer.close_code == 1009
        assert await owner.end() == Closed(1009, "", by_peer=False)


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
    assert owner.socket.waiting > 2000
    client.writer.transport.resume_reading()
    await owner.until("resumed")
    owner.socket.pause_reading()
    client.send(TEXT, b"one")
    client.send(TEXT, b"two")
    owner.socket.resume_reading()
    await owner.until(b"one", b"two")
    owner.socket.abort()
    assert await owner.end() == Closed(1006, "", by_peer=False)
    await client.gone()


async def test_a_real_process_without_uvloop_serves_the_lane_too() -> None:
    async with serve(loop="asyncio") as server:
        client = await server.connect()
        client.send(TEXT, b"hello")
        assert await client.receive() == (TEXT, b"hello")
