"""Every fault, seen from the other end of a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

import app.emulator
from app.emulator.faults import FAULTS, ODD_JSON, Order
from tests.emulator.peer import DEADLINE, Peer, raw, upgrade

if TYPE_CHECKING:
    from app.emulator import Emulator

DOCUMENTED = re.compile(r"^    (\w+) {2,}(.+)$", re.MULTILINE)


def test_the_docstrings_table_is_the_code() -> None:
    table = (app.emulator.__doc__ or "").split("connection event).")[-1]
    assert DOCUMENTED.findall(table) == [(f.name, f.meaning) for f in FAULTS.values()]


def test_this_file_tests_every_fault() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert not [name for name in FAULTS if not any(test.startswith(name) for test in tested)]


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_refuse(emulator: Emulator, status: int) -> None:
    emulator.switch.order = Order("refuse", 1, {"status": status})
    with pytest.raises(InvalidStatus) as refused:
        async with Peer.dial(emulator):
            pass
    assert refused.value.response.status_code == status
    async with Peer.dial(emulator) as peer:  # one dial was ordered, one was struck
        await peer.initialize("echo")
        await peer.until("event", name="connection")


async def test_redirect_counts_who_follows(emulator: Emulator) -> None:
    emulator.switch.order = Order("redirect", None)
    with pytest.raises(InvalidHandshake):
        async with Peer.dial(emulator):  # this library follows
            pass
    assert emulator.ledger.counters["redirects_followed"] == 1


async def test_hang(emulator: Emulator) -> None:
    emulator.switch.order = Order("hang")
    with pytest.raises(TimeoutError):
        async with connect(
            f"{emulator.url}/api/v1/ws/dev?authorization=k", open_timeout=0.2, proxy=None
        ):
            pass
    await emulator.ledger.until(lambda ledger: ledger.counters["sockets_open"] == 0)


async def test_rst_on_dial(emulator: Emulator) -> None:
    emulator.switch.order = Order("rst_on_dial")
    with pytest.raises((OSError, InvalidHandshake)):
        async with Peer.dial(emulator):
            pass


async def spoken_refusal(emulator: Emulator, fault: str, message: str) -> None:
    emulator.switch.order = Order(fault)
    async with Peer.dial(emulator, "webCall") as peer:
        assert (await peer.closed())[0] == 1008
    assert peer.frames[0]["data"] == {"message": message}


async def test_not_enabled(emulator: Emulator) -> None:
    await spoken_refusal(emulator, "not_enabled", "Web integration is not enabled")


async def test_origin_not_allowed(emulator: Emulator) -> None:
    await spoken_refusal(emulator, "origin_not_allowed", "Origin not allowed")


@pytest.mark.parametrize("by", ["switch", "initialize"])
async def test_accept_silent(emulator: Emulator, by: str) -> None:
    if by == "switch":
        emulator.switch.order = Order("accept_silent")
    async with Peer.dial(emulator) as peer:
        await peer.initialize(**{} if by == "switch" else {"fault": "accept_silent"})
        await peer.say("anybody there?")
        await peer.send("terminate")
        await (await peer.socket.ping())
        await emulator.ledger.until(lambda ledger: ledger.records[0].received_total == 3)
    await emulator.ledger.ended()
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
        await emulator.ledger.until(lambda ledger: ledger.records[0].terminated)
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
    (record,) = await emulator.ledger.ended()
    assert (record.ended_by, record.close_sent, record.fault) == ("fault", None, name)


async def raw_end(emulator: Emulator, fault: str) -> bytes | OSError:
    """Dial by hand, initialize, and read to the end of the stream: bytes, or the error."""
    emulator.switch.order = Order(fault)
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
    emulator.ledger.clear()
    assert isinstance(await raw_end(emulator, "rst"), ConnectionResetError)


async def test_drop_is_a_fin_without_a_close_frame(emulator: Emulator) -> None:
    await abnormal(emulator, "drop")
    emulator.ledger.clear()
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
        await emulator.ledger.until(lambda ledger: ledger.records[0].sent["text"] > 100)
        peer.socket.transport.abort()
    (record,) = await emulator.ledger.ended()
    assert record.sent["text"] < 100_000


async def test_oversize(emulator: Emulator) -> None:
    async with Peer.dial(emulator, max_size=None) as peer:
        await peer.initialize("oversize")
        assert len(await peer.spoken()) == 2 * 1024 * 1024
    async with Peer.dial(emulator) as peer:
        await peer.initialize("oversize")
        with pytest.raises(ConnectionClosed):
            await peer.until("text")
    record = (await emulator.ledger.ended(2))[1]
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
    (record,) = await emulator.ledger.ended()
    assert record.close_received == 1007


async def test_fragments(emulator: Emulator) -> None:
    async with Peer.dial(emulator, max_queue=None) as peer:
        await peer.initialize("fragments", plain=True)
        await peer.until("event", name="connection")
        await peer.say("hello")
        parts = [part async for part in peer.socket.recv_streaming()]
        assert len(parts) > 5
        assert max(len(part.encode()) for part in parts) <= 7
        assert json.loads("".join(parts))["content"]["text"] == "hello"


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
        assert not pong.done()
    (record,) = await emulator.ledger.ended()
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


async def answer_tools(peer: Peer, results: list[Any]) -> list[dict[str, Any]]:
    requests = []
    for result in results:
        requests.append((await peer.until("websocketToolRequest"))["content"])
        await peer.answer(requests[-1]["id"], result)
    return requests


async def test_duplicate_tool_id_may_be_answered_twice_alike(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("duplicate_tool_id")
        first, second = await answer_tools(peer, [{"n": 1}, {"n": 1}])
        assert first == second
        await peer.heard_until("duplicate_tool_id: {'n': 1} {'n': 1}")
    (record,) = await emulator.ledger.ended()
    assert record.violations == []


async def test_duplicate_tool_id_may_be_answered_once(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("duplicate_tool_id")
        await answer_tools(peer, [{"n": 1}])
        assert "unanswered" in await peer.heard_until("duplicate_tool_id: {'n': 1}")


async def test_unknown_tool(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("unknown_tool")
        (request,) = await answer_tools(peer, [{"error": {"code": "unknown"}}])
        assert request["toolName"] == "no_such_tool"
        await peer.heard_until("unknown_tool: {'error': {'code': 'unknown'}}")


async def test_bad_args(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("bad_args", tool="check")
        requests = await answer_tools(peer, [1, 2, 3, 4])
        await peer.heard_until("bad_args: 4")
    assert {request["toolName"] for request in requests} == {"check"}
    assert [type(request["args"]) for request in requests] == [dict, type(None), str, list]


async def test_drop_after_closed(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("drop_after_closed")
        await peer.say("bye")
        assert (await peer.closed())[0] == 1006
    assert peer.names()[-2:] == ["conversationResult", "closed"]
    (record,) = await emulator.ledger.ended()
    assert (record.ended_by, record.close_sent) == ("agent", None)


async def test_a_fault_can_strike_any_agent_by_the_switch(emulator: Emulator) -> None:
    emulator.switch.order = Order("drop", 2, {"faultAfter": 1})
    for _ in range(2):
        async with Peer.dial(emulator) as peer:
            await peer.initialize("counter", count=50, rate=1000.0)
            assert (await peer.closed())[0] == 1006
        assert [f["content"]["text"] for f in peer.of("text")] == ["#1"]
    async with Peer.dial(emulator) as peer:
        await peer.initialize("counter", count=50)
        assert (await peer.closed())[0] == 1000
