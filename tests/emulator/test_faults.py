"""Faults, seen from the other end of a real socket: those of dials and of ends."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

import app.emulator
from app.emulator.faults import FAULTS, FaultSpec
from tests.emulator import test_faulty_agents, test_faulty_frames
from tests.emulator.peer import DEADLINE, Peer, raw, upgrade

if TYPE_CHECKING:
    from app.emulator import Emulator

DOCUMENTED = re.compile(r"^    (\w+) {2,}(.+)$", re.MULTILINE)


def test_the_docstrings_table_is_the_code() -> None:
    table = (app.emulator.__doc__ or "").split("connection event).")[-1]
    assert DOCUMENTED.findall(table) == [(f.name, f.meaning) for f in FAULTS.values()]


def test_every_fault_has_a_test() -> None:
    files = (sys.modules[__name__], test_faulty_agents, test_faulty_frames)
    names = [name for file in files for name in vars(file) if name.startswith("test_")]
    tested = {name.removeprefix("test_") for name in names}
    assert not [name for name in FAULTS if not any(test.startswith(name) for test in tested)]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_refuse(emulator: Emulator, status: int) -> None:
    emulator.switch.order = FaultSpec("refuse", 1, {"status": status})
    with pytest.raises(InvalidStatus) as refused:
        async with Peer.dial(emulator):
            pass
    assert refused.value.response.status_code == status
    async with Peer.dial(emulator) as peer:  # one dial was ordered, one was struck
        await peer.initialize("echo")
        await peer.until("event", name="connection")


async def test_redirect_counts_who_follows(emulator: Emulator) -> None:
    emulator.switch.order = FaultSpec("redirect", None)
    with pytest.raises(InvalidHandshake):
        async with Peer.dial(emulator):  # this library follows
            pass
    assert emulator.call_log.counters["redirects_followed"] == 1


async def test_hang(emulator: Emulator) -> None:
    emulator.switch.order = FaultSpec("hang")
    with pytest.raises(TimeoutError):
        async with connect(
            f"{emulator.url}/api/v1/ws/dev?authorization=k", open_timeout=0.2, proxy=None
        ):
            pass
    await emulator.call_log.until(lambda ledger: ledger.counters["sockets_open"] == 0)


async def test_rst_on_dial(emulator: Emulator) -> None:
    emulator.switch.order = FaultSpec("rst_on_dial")
    with pytest.raises((OSError, InvalidHandshake)):
        async with Peer.dial(emulator):
            pass


async def spoken_refusal(emulator: Emulator, fault: str, message: str) -> None:
    emulator.switch.order = FaultSpec(fault)
    async with Peer.dial(emulator, "webCall") as peer:
        assert (await peer.closed())[0] == 1008
    assert peer.frames[0]["data"] == {"message": message}


async def test_not_enabled(emulator: Emulator) -> None:
    await spoken_refusal(emulator, "not_enabled", "Web integration is not enabled")


async def test_origin_not_allowed(emulator: Emulator) -> None:
    await spoken_refusal(emulator, "origin_not_allowed", "Origin not allowed")


async def test_concurrent_limit(emulator: Emulator) -> None:
    await spoken_refusal(emulator, "concurrent_limit", "Concurrent limit exceeded")


async def test_invalid_token(emulator: Emulator) -> None:
    await spoken_refusal(emulator, "invalid_token", "Invalid token")


async def test_missing_token(emulator: Emulator) -> None:
    await spoken_refusal(emulator, "missing_token", "Missing token")


async def test_drop_on_open_says_nothing(emulator: Emulator) -> None:
    emulator.switch.order = FaultSpec("drop_on_open")
    async with Peer.dial(emulator) as peer:
        assert (await peer.closed())[0] == 1006
    assert peer.frames == []


async def test_drop_on_initialize_says_nothing(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("drop_on_initialize")
        assert (await peer.closed())[0] == 1006
    assert peer.frames == []


async def test_failed_open_says_why(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("failed_open", reason="No route")
        assert (await peer.closed())[0] == 1000
    assert peer.frames[-1]["name"] == "failedOpen"
    assert peer.frames[-1]["data"] == {"reason": "No route"}


async def test_too_large_closes_with_1009(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("too_large")
        assert (await peer.closed())[0] == 1009
    assert peer.frames[-1]["data"] == {"message": "Too large message"}


@pytest.mark.parametrize("by", ["switch", "initialize"])
async def test_accept_silent(emulator: Emulator, by: str) -> None:
    if by == "switch":
        emulator.switch.order = FaultSpec("accept_silent")
    async with Peer.dial(emulator) as peer:
        await peer.initialize(**{} if by == "switch" else {"fault": "accept_silent"})
        await peer.say("anybody there?")
        await peer.send("terminate")
        await (await peer.socket.ping())
        await emulator.call_log.until(lambda ledger: ledger.records[0].received_total == 3)
    await emulator.call_log.ended()
    with pytest.raises(ConnectionClosed):
        await peer.receive()


async def test_stall_after_some_texts(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo", fault="stall", faultAfter=2)
        for text in ("one", "two", "three"):
            await peer.say(text)
        await peer.spoken("one")
        await peer.spoken("two")
        await peer.send("terminate")
        await emulator.call_log.until(lambda ledger: ledger.records[0].terminated)
        await asyncio.wait_for(await peer.socket.ping(), DEADLINE)
    assert peer.of("conversationResult") == []


async def test_freeze_answers_nothing_until_it_thaws(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo", fault="freeze", faultSeconds=1.5)
        await peer.until("event", name="connection")
        pong = await peer.socket.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.1)
        await asyncio.wait_for(pong, DEADLINE)


async def abnormal(emulator: Emulator, name: str) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo", fault=name, faultAfter=1)
        await peer.say("one")
        await peer.spoken("one")
        assert (await peer.closed())[0] == 1006
    (record,) = await emulator.call_log.ended()
    assert (record.ended_by, record.close_sent, record.fault) == ("fault", None, name)


async def raw_end(emulator: Emulator, fault: str) -> bytes | OSError:
    """Dial by hand, initialize, and read to the end of the stream: bytes, or the error."""
    emulator.switch.order = FaultSpec(fault)
    frame = {"type": "initialize", "timestamp": "t", "devRequest": {"callType": "chat"}}
    payload = json.dumps(frame).encode()
    async with raw(emulator) as (reader, writer):
        writer.write(upgrade(emulator.options.api_key))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload)
        try:
            return await asyncio.wait_for(reader.read(), DEADLINE)
        except OSError as exc:
            return exc


async def test_rst_is_a_tcp_reset(emulator: Emulator) -> None:
    await abnormal(emulator, "rst")
    emulator.call_log.clear()
    assert isinstance(await raw_end(emulator, "rst"), ConnectionResetError)


async def test_drop_is_a_fin_without_a_close_frame(emulator: Emulator) -> None:
    await abnormal(emulator, "drop")
    emulator.call_log.clear()
    end = await raw_end(emulator, "drop")
    assert isinstance(end, bytes)
    assert b"connection" in end
    assert b"\x88" not in end[-8:]


async def test_close_with_a_code_of_choice(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("close", closeCode=4321, closeReason="because")
        assert await peer.closed() == (4321, "because")


@pytest.mark.parametrize("endpoint", ["dev", "webCall"])
async def test_close_with_key(emulator: Emulator, endpoint: str) -> None:
    async with Peer.dial(emulator, endpoint) as peer:
        carries = "devRequest" if endpoint == "dev" else "request"
        await peer.initialize("close_with_key", carries=carries)
        code, reason = await peer.closed()
    secret = emulator.options.api_key if endpoint == "dev" else emulator.options.token
    assert code == 1008
    assert secret in reason
    assert secret in peer.of("error")[0]["data"]["message"]
