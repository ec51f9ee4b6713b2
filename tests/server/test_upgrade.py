"""The native upgrade: its answers, the socket that it gives, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.server.interface import UpgradeGone, UpgradeState
from app.websocket.interface import CloseEvent
from app.websocket.server_connection import ServerConnection
from tests.support.waiting import until
from tests.websocket.handlers import Owner, Taker
from tests.websocket.peers import HANDSHAKE, PING, TEXT, frame
from tests.websocket.site import Site

if TYPE_CHECKING:
    from app.server.interface import Upgrade


async def test_an_endpoint_may_return_and_its_socket_lives_on() -> None:
    taker = Taker()
    async with Site(taker) as site, connect(site.url) as peer:
        owner = await taker.owner()
        assert isinstance(owner.socket, ServerConnection)
        await peer.send("one")
        assert await peer.recv() == "one"
        assert repr(owner.socket) == "<ServerConnection: OPEN, reading>"
        await until(lambda: not site.server.server_state.tasks)  # the endpoint has returned
        await peer.send("two")
        assert await peer.recv() == "two"
    assert await owner.end() == CloseEvent(1000, "", by_peer=True)


async def test_what_the_handshake_held_is_let_go() -> None:
    seen: list[weakref.ref[Any]] = []

    async def endpoint(upgrade: Upgrade) -> None:
        seen.append(weakref.ref(upgrade))
        seen.append(weakref.ref(next(iter(site.server.server_state.tasks))))
        await taker(upgrade)

    taker = Taker()
    async with Site(endpoint) as site, connect(site.url) as peer:
        owner = await taker.owner()
        await until(lambda: not site.server.server_state.tasks)
        gc.collect()
        assert [ref() for ref in seen] == [None, None]
        await peer.send("still")
        await owner.until(b"still")


async def test_an_upgrade_has_one_answer() -> None:
    raised: asyncio.Queue[bool] = asyncio.Queue()

    async def endpoint(upgrade: Upgrade) -> None:
        assert [upgrade.state] == [UpgradeState.PENDING]
        (await upgrade.accept()).close(1000)
        assert [upgrade.state] == [UpgradeState.ACCEPTED]
        with pytest.raises(RuntimeError):
            await upgrade.accept()
        with pytest.raises(RuntimeError):
            await upgrade.reject(403)
        raised.put_nowait(True)

    async with Site(endpoint) as site:
        peer = await connect(site.url)
        assert await raised.get()
        await peer.wait_closed()
        assert peer.close_code == 1000


async def test_a_refusal_can_be_sent_without_an_owner() -> None:
    async def endpoint(upgrade: Upgrade) -> None:
        socket = await upgrade.accept()
        socket.send_text(b"no")
        socket.close(4401, "unauthenticated")
        socket.send_text(b"too late")
        socket.close(1000)

    async with Site(endpoint) as site, connect(site.url) as peer:
        assert await peer.recv() == "no"
        with pytest.raises(ConnectionClosed) as closed:
            await peer.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "unauthenticated")


async def test_a_batch_is_what_one_read_brought_and_is_written_in_one_piece() -> None:
    taker = Taker()
    async with Site(taker) as site:
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
    async with Site(taker) as site, connect(site.url) as peer:
        owner = await taker.owner()
        owner.socket.send_text("ütf".encode())
        assert await peer.recv() == "ütf"


async def test_an_owner_is_forewarned_of_a_failure() -> None:
    taker = Taker()
    async with Site(taker) as site, connect(site.url) as peer:
        await peer.send("x" * 70_000)
        assert await peer.recv() == "failing 1009"
        owner = await taker.owner()
        assert await owner.end() == CloseEvent(1009, "", by_peer=False)
        await peer.wait_closed()
        assert peer.close_code == 1009


async def test_an_owner_that_closes_hears_the_answer_and_nothing_more() -> None:
    taker = Taker()
    async with Site(taker) as site:
        client = await site.connect()
        owner = await taker.owner()
        owner.socket.close(4408, "idle")
        client.send(TEXT, b"crossing")
        client.send(PING)
        client.send(8, b"\x11\x38bye")
        assert await client.close_code() == 4408
        assert await owner.end() == CloseEvent(4408, "bye", by_peer=False)
        assert owner.heard == []


async def test_a_close_that_is_not_answered_is_1006_after_its_time() -> None:
    taker = Taker()
    async with Site(taker, close_timeout=0.2) as site:
        await site.connect()
        owner = await taker.owner()
        owner.socket.close(1000)
        assert await owner.end() == CloseEvent(1006, "", by_peer=False)
        await until(lambda: len(site.batcher.timer_wheel) == 0)


async def test_an_abort_is_1006() -> None:
    taker = Taker()
    async with Site(taker) as site:
        client = await site.connect()
        owner = await taker.owner()
        owner.socket.abort()
        await client.gone()
        assert await owner.end() == CloseEvent(1006, "", by_peer=False)
        assert len(site.batcher.timer_wheel) == 0


async def test_a_browser_that_vanishes_is_1006_by_the_peer() -> None:
    taker = Taker()
    async with Site(taker) as site:
        client = await site.connect()
        owner = await taker.owner()
        await client.leave()
        assert await owner.end() == CloseEvent(1006, "", by_peer=True)


async def test_a_socket_that_ended_before_it_was_opened_says_so() -> None:
    sockets: asyncio.Queue[Any] = asyncio.Queue()

    async def endpoint(upgrade: Upgrade) -> None:
        sockets.put_nowait(await upgrade.accept())

    async with Site(endpoint) as site:
        client = await site.connect()
        socket = await sockets.get()
        socket.abort()
        await client.gone()
        owner = Owner(socket)
        socket.open(owner)
        assert not owner.ended.done()
        assert await owner.end() == CloseEvent(1006, "", by_peer=False)


async def test_a_slow_reader_pauses_its_writer_and_resumes_it() -> None:
    taker = Taker()
    async with Site(taker) as site:
        client = (await site.connect()).deaf()
        owner = await taker.owner()
        sent = 0
        while "paused" not in owner.heard:
            owner.socket.send_text(b"x" * 65_000)
            sent += 65_000
        assert owner.socket.write_buffer_size > 0
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        taken = 0
        while taken < sent:
            taken += len((await client.receive())[1])
        await owner.until("resumed")
        assert owner.socket.write_buffer_size == 0


async def test_a_paused_socket_reads_nothing_and_is_not_taken_for_dead() -> None:
    taker = Taker()
    async with Site(taker, ping_interval=0.1, ping_timeout=0.1) as site:
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
    async with Site(taker) as site, connect(f"{site.url}?ticket=s3cret") as peer:
        await peer.send("x")
        await peer.recv()
    assert "s3cret" not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")
    )


@pytest.mark.parametrize("native", [True, False])
async def test_a_rejected_upgrade_is_plain_http(native: bool) -> None:
    async def endpoint(upgrade: Upgrade) -> None:
        await upgrade.reject(404, [(b"x-why", b"gone")], b"no such place")
        with pytest.raises(RuntimeError):
            await upgrade.accept()

    async with Site(endpoint, native=native) as site:
        with pytest.raises(InvalidStatus) as refused:
            await connect(site.url)
    response = refused.value.response
    assert (response.status_code, response.body) == (404, b"no such place")
    assert response.headers["x-why"] == "gone"
    assert response.headers["connection"] == "close"
    assert response.headers["content-length"] == "13"
    assert response.headers["date"]


@pytest.mark.parametrize("crash", [True, False], ids=["crashes", "says nothing"])
async def test_an_endpoint_that_gives_no_answer_is_a_500(crash: bool) -> None:
    async def endpoint(upgrade: Upgrade) -> None:
        if crash:
            raise ValueError(upgrade)

    with capture_logs() as logs:
        async with Site(endpoint) as site:
            with pytest.raises(InvalidStatus) as refused:
                await connect(site.url)
    assert refused.value.response.status_code == 500
    assert b"ValueError" not in refused.value.response.body
    event = "request_crashed" if crash else "request_unanswered"
    assert [line["event"] for line in logs] == [event]


async def test_an_answer_of_two_lines_is_a_500() -> None:
    async def endpoint(upgrade: Upgrade) -> None:
        await upgrade.reject(403, [(b"x-why", b"a\r\nSet-Cookie: b")])

    async with Site(endpoint) as site:
        with pytest.raises(InvalidStatus) as refused:
            await connect(site.url)
    assert refused.value.response.status_code == 500
    assert "set-cookie" not in refused.value.response.headers


async def test_a_server_that_stops_answers_what_is_pending() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def endpoint(upgrade: Upgrade) -> None:
        asked.set()
        await until(lambda: upgrade.state is UpgradeState.GONE)
        await upgrade.reject(403)
        try:
            await upgrade.accept()
        except UpgradeGone:
            gone.set()

    async with Site(endpoint) as site:
        client = await site.open(HANDSHAKE % (b"/ws", b""))
        await asked.wait()
        site.server.should_exit = True
        head = await client.within(client.reader.readuntil(b"\r\n\r\n"))
        assert head.startswith(b"HTTP/1.1 500 ")
        await gone.wait()
