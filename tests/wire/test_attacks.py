"""Every hole of the stack, attacked against a real server process whose memory is read outside."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib

import pytest

from tests.wire.peers import (
    BINARY,
    CLOSE,
    PATIENCE,
    TEXT,
    Client,
    Server,
    frame,
    serve,
)

MB = 1000 * 1000
ROOM = 12  # MB that a server may grow by under any attack: code paths, buffers, a bounded backlog
CONT, PING = 0, 9


async def pour(client: Client, chunk: bytes, times: int) -> int:
    """Write until it is all gone or the server has cut us; gives the bytes that went."""
    sent = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(times):
            client.writer.write(chunk)
            async with asyncio.timeout(PATIENCE):
                await client.writer.drain()
            sent += len(chunk)
    return sent


async def warmed(server: Server) -> float:
    """Let one connection live and die, so that growth is the attack's alone."""
    client = await server.connect()
    client.send(TEXT, b"hello")
    assert await client.receive() == (TEXT, b"hello")
    client.abort()
    return server.rss


def no_traceback(server: Server) -> bool:
    return not any("Traceback" in line or "ERROR" in line for line in server.log)


async def test_a_ping_flood_is_4429() -> None:
    async with serve() as server:
        await warmed(server)
        client = await server.connect()
        client.writer.write(frame(PING, b"x" * 100) * 1000)
        assert await client.close_code() == 4429
        assert no_traceback(server)


async def test_a_ping_flood_whose_pongs_are_not_read_is_cut_at_a_megabyte() -> None:
    """With the rate out of the way: what is left is the bound on what waits."""
    async with serve(controls_per_second=1e9, control_burst=10**9) as server:
        before = await warmed(server)
        client = (await server.connect("/hold")).deaf()
        sent = await pour(client, frame(PING, b"x" * 125) * 500, 150 * MB // (131 * 500))
        assert sent < 100 * MB
        state = await server.until(lambda state: state["deadlines"] == 0)
        assert state["ended"] == [[4508, False]]
        assert server.peak - before < ROOM
        assert await server.said("unread answers") == 1


async def test_endless_empty_continuations_are_1009() -> None:
    async with serve() as server:
        before = await warmed(server)
        client = await server.connect()
        client.send(TEXT, fin=False)
        flood = frame(CONT, fin=False)
        pouring = asyncio.create_task(pour(client, flood * 10_000, 60 * MB // 60_000))
        assert await client.close_code() == 1009
        client.abort()
        await pouring
        assert server.peak - before < ROOM


async def test_compression_is_not_negotiated_and_a_bomb_does_not_explode() -> None:
    async with serve(max_message=1 << 20) as server:
        before = await warmed(server)
        client = await server.connect(headers=b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
        assert b"101" in client.head
        assert b"xtension" not in client.head
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = (deflate.compress(bytes(MB)) + deflate.flush(zlib.Z_FULL_FLUSH)) * 1000
        assert len(bomb) < 1 << 20
        made = frame(TEXT, bomb)
        client.writer.write(bytes((made[0] | 0x40,)) + made[1:])
        assert await client.close_code() == 1002
        assert server.peak - before < ROOM


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET /echo HT",
        b"GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n",
        b"POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf",
    ],
    ids=["silence", "request line", "headers", "body"],
)
async def test_half_sent_requests_are_gone_after_the_time_out(half: bytes) -> None:
    async with serve(handshake_timeout=0.5) as server:
        calm = (await server.state())["fds"]
        clients = [await server.open(half) for _ in range(200)]
        await asyncio.gather(*(client.gone() for client in clients))
        assert (await server.until(lambda state: state["fds"] <= calm))["deadlines"] <= 1
        assert no_traceback(server)


async def test_a_request_in_drips_is_no_way_around_the_time_out() -> None:
    async with serve(handshake_timeout=0.5) as server:
        client = await server.open(b"GET /echo HTTP/1.1\r\n")
        begun = time.monotonic()
        gone = asyncio.create_task(client.gone())
        while not gone.done():
            client.writer.write(b"X-Drip: drop\r\n")
            await asyncio.wait((gone,), timeout=0.05)
        assert time.monotonic() - begun < PATIENCE


async def test_a_second_request_on_a_kept_connection_has_the_same_time() -> None:
    async with serve(handshake_timeout=0.5) as server:
        client = await server.open(b"GET /state HTTP/1.1\r\nHost: test\r\n\r\nGET /state HT")
        await client.gone()
        assert await server.said("slow_request") == 1


async def test_an_endless_request_head_is_refused() -> None:
    async with serve() as server:
        before = await warmed(server)
        client = await server.open(b"GET /echo HTTP/1.1\r\n")
        sent = await pour(client, b"X-Long: " + b"x" * 50_000 + b"\r\n", 2000)
        assert sent < 50 * MB
        assert server.peak - before < ROOM


async def test_text_that_is_not_utf8_is_1007_and_one_log_line() -> None:
    async with serve() as server:
        for _ in range(20):
            client = await server.connect()
            client.send(TEXT, b"secret words \xff")
            assert await client.close_code() == 1007
        assert no_traceback(server)
        assert 1 <= await server.said("socket_failed") < 20
        assert not any("secret" in line for line in server.log)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(TEXT, b"x" * 65537), 1009),
        (frame(BINARY, b"x" * 65537)[:14], 1009),
        (frame(3), 1002),
        (frame(TEXT, b"x", mask=False), 1002),
    ],
    ids=["text too large", "binary announced too large", "opcode", "unmasked"],
)
async def test_broken_frames_are_answered_by_their_code(data: bytes, code: int) -> None:
    async with serve() as server:
        client = await server.connect()
        client.writer.write(data)
        assert await client.close_code() == code
        assert no_traceback(server)


async def test_a_large_message_still_on_its_way_does_not_hide_its_1009() -> None:
    """A reset would overtake the close frame; so the rest is read and thrown away."""
    async with serve() as server:
        client = await server.connect()
        pouring = asyncio.create_task(pour(client, frame(TEXT, b"x" * (5 * MB)), 1))
        assert await client.close_code() == 1009
        await client.gone()
        await pouring


async def test_a_peer_that_goes_on_after_its_failure_is_cut() -> None:
    async with serve(max_discarded=MB, close_timeout=PATIENCE) as server:
        client = await server.connect("/hold")
        client.writer.write(frame(3))
        sent = await pour(client, b"x" * 65536, 3000)
        assert sent < 150 * MB
        await server.until(lambda state: state["deadlines"] == 0)


async def test_a_slow_reader_of_a_pushing_server_costs_little() -> None:
    async with serve() as server:
        before = await warmed(server)
        client = await server.connect("/push")
        client.deaf()
        await asyncio.sleep(1)  # the push stops by itself: there is no event to wait for
        assert server.peak - before < ROOM


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_slow_reader_stops_the_reading_of_its_upstream(loop: str) -> None:
    async with serve(loop=loop) as upstream, serve(loop=loop) as relay:
        await warmed(upstream)
        before = await warmed(relay)
        client = await relay.connect(f"/relay?to={upstream.port}&path=/push")
        client.deaf()
        await asyncio.sleep(1)  # long enough for gigabytes; what must happen is nothing
        assert relay.peak - before < ROOM
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        client.send(TEXT, b"more")
        taken = 0
        while taken < 20 * MB:  # it goes on once the reader does
            taken += len(await client.within(client.reader.read(1 << 20)))
        assert relay.peak - before < ROOM
        await client.leave()
        await relay.until(lambda state: state["deadlines"] == 0)
        await upstream.until(lambda state: state["deadlines"] == 0)


async def test_a_slow_upstream_stops_the_reading_of_its_browser() -> None:
    """The upstream's owner echoes, and stops reading when its answers are not read."""
    async with serve(max_message=1 << 20) as upstream, serve(max_message=1 << 20) as relay:
        await warmed(upstream)
        before = await warmed(relay)
        client = await relay.connect(f"/relay?to={upstream.port}&path=/echo")
        client.deaf()
        message = frame(TEXT, b"x" * 60_000)
        stuck = False
        for _ in range(1000):
            client.writer.write(message)
            try:
                async with asyncio.timeout(2):
                    await client.writer.drain()
            except TimeoutError:
                stuck = True
                break
        assert stuck
        assert relay.peak - before < ROOM
        await client.leave()
        await relay.until(lambda state: state["deadlines"] == 0)


@pytest.mark.parametrize("path", ["/hold", "/relay"])
async def test_a_stopped_peer_is_noticed_and_nothing_of_it_is_left(path: str) -> None:
    limits = {"ping_interval": 0.4, "ping_timeout": 0.3}
    async with serve(ping_interval=0) as upstream, serve(**limits, upstream_limits=limits) as relay:
        await warmed(relay)
        calm = await relay.until(lambda state: state["deadlines"] == 0)
        if path == "/relay":
            path = f"/relay?to={upstream.port}&path=/hold"
        async with frozen_client(relay, path):
            await relay.until(lambda state: state["fds"] > calm["fds"])
            begun = time.monotonic()
            after = await relay.until(lambda state: state["fds"] <= calm["fds"])
            assert time.monotonic() - begun < 5  # 0.7 by the settings; the machine is busy
        assert after["tasks"] == calm["tasks"]
        assert after["deadlines"] == 0
        if path == "/hold":
            assert after["ended"] == [[1006, False]]


async def test_a_stopped_upstream_is_noticed_and_nothing_of_it_is_left() -> None:
    limits = {"ping_interval": 0.4, "ping_timeout": 0.3}
    async with serve() as upstream, serve(upstream_limits=limits) as relay:
        await warmed(relay)
        calm = await relay.until(lambda state: state["deadlines"] == 0)
        client = await relay.connect(f"/relay?to={upstream.port}&path=/echo")
        client.send(TEXT, b"alive")
        assert await client.receive() == (TEXT, b"alive")
        upstream.process.send_signal(19)
        try:
            assert await client.close_code() == 1000
        finally:
            upstream.process.send_signal(18)
        await client.leave()
        after = await relay.until(lambda state: state["fds"] <= calm["fds"])
        assert after["tasks"] == calm["tasks"]
        assert after["deadlines"] == 0


async def test_a_peer_that_answers_pings_lives() -> None:
    async with serve(ping_interval=0.2, ping_timeout=0.15) as server:
        client = await server.connect("/hold")
        for _ in range(8):
            opcode, payload = await client.receive()
            assert opcode == PING
            client.send(10, payload)
        client.send(CLOSE, b"\x03\xe8")
        assert await client.close_code() == 1000


async def test_a_close_that_is_not_answered_has_its_time() -> None:
    async with serve(close_timeout=0.4, max_message=10) as server:
        client = await server.connect("/plain")
        client.send(CLOSE, b"\x03\xe8")  # answered; but we do not close TCP
        assert await client.close_code() == 1000
        await client.gone()
        await server.until(lambda state: state["deadlines"] == 0)


async def test_sigterm_leaves_lane_sockets_to_their_owner() -> None:
    """No 1012 from uvicorn; the server waits for the socket as long as it was told to."""
    async with serve() as server:
        client = await server.connect()
        server.process.terminate()
        client.send(TEXT, b"still here")
        assert await client.receive() == (TEXT, b"still here")
        client.send(CLOSE, b"\x03\xe8")
        assert await client.close_code() == 1000
        async with asyncio.timeout(PATIENCE):
            assert await server.process.wait() in (0, -15)


@contextlib.asynccontextmanager
async def frozen_client(server: Server, path: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """A client in a process of its own, stopped once it is connected."""
    import sys  # noqa: PLC0415

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys, time\n"
        "from websockets.sync.client import connect\n"
        "ws = connect(sys.argv[1], ping_interval=None)\n"
        "print('open', flush=True)\n"
        "time.sleep(60)\n",
        f"ws://127.0.0.1:{server.port}{path}",
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"open\n"
        process.send_signal(19)
        yield
    finally:
        process.kill()
        await process.wait()
