"""Faults of frames and pings: floods, odd sizes, odd bytes, odd JSON."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed

from app.emulator.faults import ODD_JSON
from tests.emulator.peer import Peer

if TYPE_CHECKING:
    from app.emulator import Emulator


async def test_flood(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("flood", faultCount=3_000, faultBytes=600)
        for number in range(3_000):
            frame = await peer.until("text")
            assert frame["content"]["number"] == number
            assert len(frame["content"]["text"]) == 600


async def test_flood_waits_for_a_reader_that_does_not_read(emulator: Emulator) -> None:
    async with Peer.dial(emulator, max_queue=1) as peer:
        await peer.initialize("flood", faultCount=100_000)
        await peer.until("text")
        await emulator.call_log.until(lambda ledger: ledger.records[0].sent["text"] > 100)
        peer.socket.transport.abort()
    (record,) = await emulator.call_log.ended()
    assert record.sent["text"] < 100_000


async def test_oversize(emulator: Emulator) -> None:
    async with Peer.dial(emulator, max_size=None) as peer:
        await peer.initialize("oversize")
        assert len(await peer.spoken()) == 2 * 1024 * 1024
    async with Peer.dial(emulator) as peer:
        await peer.initialize("oversize")
        with pytest.raises(ConnectionClosed):
            await peer.until("text")
    record = (await emulator.call_log.ended(2))[1]
    assert record.close_received == 1009


async def test_malformed_json_and_then_it_goes_on(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("malformed_json")
        with pytest.raises(json.JSONDecodeError):
            await peer.until("text")
        await peer.say("still here?")
        await peer.spoken("still here?")


async def test_odd_json_and_then_it_goes_on(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("odd_json", plain=True)
        await peer.until("event", name="connection")
        for odd in ODD_JSON:
            assert await peer.socket.recv(decode=False) == odd
        await peer.say("still here?")
        await peer.spoken("still here?")


async def test_binary(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("binary", plain=True)
        await peer.until("event", name="connection")
        assert await peer.socket.recv() == bytes(range(256))


async def test_bad_utf8(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("bad_utf8")
        await peer.closed()
    (record,) = await emulator.call_log.ended()
    assert record.close_received == 1007


async def test_fragments(emulator: Emulator) -> None:
    async with Peer.dial(emulator, max_queue=None) as peer:
        await peer.initialize("fragments", plain=True)
        await peer.until("event", name="connection")
        await peer.say("hello")
        parts = [part async for part in peer.socket.recv_streaming()]
        texts = [part for part in parts if isinstance(part, str)]
        assert len(texts) == len(parts) > 5
        assert max(len(text.encode()) for text in texts) <= 7
        assert json.loads("".join(texts))["content"]["text"] == "hello"


async def test_endless_fragments(emulator: Emulator) -> None:
    async with Peer.dial(emulator, max_queue=None) as peer:
        await peer.initialize("endless_fragments", faultCount=2_000)
        await peer.until("event", name="connection")
        count = 0
        async for _ in peer.socket.recv_streaming(decode=False):
            count += 1
            if count > 1_000:
                break


async def test_ping_flood(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("ping_flood", faultCount=2_000)
        await peer.say("after all that?")
        await peer.spoken("after all that?")


async def test_no_pong(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("no_pong")
        await peer.until("event", name="connection")
        pong = await peer.socket.ping()
        await peer.say("but texts?")
        await peer.spoken("but texts?")
        assert isinstance(pong, asyncio.Future)
        assert not pong.done()
    (record,) = await emulator.call_log.ended()
    assert record.pings == 1


async def test_slow_reader_pushes_back(emulator: Emulator) -> None:
    async with Peer.dial(emulator, write_limit=1024) as peer:
        peer.socket.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 4096
        )
        await peer.initialize("slow_reader", faultBytes=64)
        await peer.until("event", name="connection")

        async def pour() -> None:
            for _ in range(5_000):
                await asyncio.wait_for(peer.say("x" * 10_000), 2)

        with pytest.raises(TimeoutError):  # of one message: 50 MB would have gone at full speed
            await pour()
        peer.socket.transport.abort()
