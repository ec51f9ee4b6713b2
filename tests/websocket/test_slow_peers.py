"""Peers that read slowly, or not at all, or are dead: bounded, noticed, and nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest

from tests.websocket.peers import CLOSE, MB, PATIENCE, PING, ROOM, TEXT, Server, frame, serve


async def test_a_slow_reader_of_a_pushing_server_costs_little() -> None:
    async with serve() as server:
        before = await server.warm()
        client = await server.connect("/push")
        client.deaf()
        await asyncio.sleep(1)  # the push stops by itself: there is no event to wait for
        assert server.peak - before < ROOM


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_slow_reader_stops_the_reading_of_its_upstream(loop: str) -> None:
    async with serve(loop=loop) as upstream, serve(loop=loop) as relay:
        await upstream.warm()
        before = await relay.warm()
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
        await upstream.warm()
        before = await relay.warm()
        client = await relay.connect(f"/relay?to={upstream.port}&path=/echo")
        client.deaf()
        message = frame(TEXT, b"x" * 60_000)
        stuck = False
        for _ in range(4000):  # the kernel alone may hold some 70 MB between the four sockets
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
    limits: dict[str, Any] = {"ping_interval": 0.4, "ping_timeout": 0.3}
    async with serve(ping_interval=0) as upstream, serve(**limits, upstream_limits=limits) as relay:
        await relay.warm()
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
    limits: dict[str, Any] = {"ping_interval": 0.4, "ping_timeout": 0.3}
    async with serve() as upstream, serve(upstream_limits=limits) as relay:
        await relay.warm()
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
    """For twice the time-out, which leaves a busy machine time to answer."""
    async with serve(ping_interval=0.2, ping_timeout=1.0) as server:
        client = await server.connect("/hold")
        for _ in range(10):
            opcode, payload = await client.receive()
            assert opcode == PING
            client.send(10, payload)
        client.send(CLOSE, b"\x03\xe8")
        assert await client.close_code() == 1000


async def test_an_answer_may_take_longer_than_the_interval() -> None:
    """Pings go on meanwhile, and the time-out counts from the oldest that has no answer."""
    async with serve(ping_interval=0.2, ping_timeout=1.0) as server:
        client = await server.connect("/hold")
        opcode, _ = await client.receive()
        assert opcode == PING
        client.send(10, b"")
        asked = time.monotonic()
        for _ in range(3):
            assert (await client.receive())[0] == PING
        await client.gone()
        assert time.monotonic() - asked > 1.0
        ended = (await server.until(lambda state: state["ended"]))["ended"]
        assert ended == [[1006, False]]


async def test_a_close_that_is_not_answered_has_its_time() -> None:
    async with serve(close_timeout=0.4, max_message=10) as server:
        client = await server.connect()
        client.send(CLOSE, b"\x03\xe8")  # answered; but we do not close TCP
        assert await client.close_code() == 1000
        await client.gone()
        await server.until(lambda state: state["deadlines"] == 0)


async def test_sigterm_leaves_lane_sockets_to_their_owner() -> None:
    """No 1012 from uvicorn; the server waits for the socket as long as it was told to."""
    async with serve() as server:
        client = await server.connect()
        server.process.terminate()
        await server.said("Shutting down")
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
