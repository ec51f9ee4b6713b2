"""Every hole of the stack, attacked against a real server process whose memory is read outside."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib

import pytest

from tests.websocket.peers import (
    BINARY,
    CONT,
    MB,
    PATIENCE,
    PING,
    ROOM,
    TEXT,
    Client,
    Server,
    frame,
    serve,
)


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


def no_traceback(server: Server) -> bool:
    return not any("Traceback" in line or "ERROR" in line for line in server.log)


async def test_a_ping_flood_is_4429() -> None:
    async with serve() as server:
        await server.warm()
        client = await server.connect()
        client.writer.write(frame(PING, b"x" * 100) * 1000)
        assert await client.close_code() == 4429
        assert no_traceback(server)


async def test_a_ping_flood_whose_pongs_are_not_read_is_cut_at_a_megabyte() -> None:
    """With the rate out of the way: what is left is the bound on what waits."""
    async with serve(controls_per_second=1e9, control_burst=10**9) as server:
        before = await server.warm()
        client = (await server.connect("/hold")).deaf()
        sent = await pour(client, frame(PING, b"x" * 125) * 500, 150 * MB // (131 * 500))
        assert sent < 100 * MB
        state = await server.until(lambda state: state["deadlines"] == 0)
        assert state["ended"] == [[4508, False]]
        assert server.peak - before < ROOM
        assert await server.said("unread answers") == 1


async def test_endless_empty_continuations_are_1009() -> None:
    async with serve() as server:
        before = await server.warm()
        client = await server.connect()
        client.send(TEXT, fin=False)
        flood = frame(CONT, fin=False)
        # Less than what is thrown away before TCP is cut: a reset might overtake the close.
        pouring = asyncio.create_task(pour(client, flood * 10_000, 15 * MB // 60_000))
        assert await client.close_code() == 1009
        client.abort()
        await pouring
        assert server.peak - before < ROOM


async def test_compression_is_not_negotiated_and_a_bomb_does_not_explode() -> None:
    async with serve(max_message=1 << 20) as server:
        before = await server.warm()
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
        before = await server.warm()
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
