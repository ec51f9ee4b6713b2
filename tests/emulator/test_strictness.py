"""Where the vendor is strict, and where its frames vary."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from app.emulator import Emulator, Options
from tests.emulator.peer import Peer, now, raw, upgrade

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def error_and_close(peer: Peer) -> tuple[str, int]:
    code, _ = await peer.closed()
    assert peer.frames[-1]["type"] == "error"
    return peer.frames[-1]["data"]["message"], code


@pytest.mark.parametrize("endpoint", ["dev", "webCall"])
@pytest.mark.parametrize(
    ("secret", "message"),
    [("", "Missing token"), ("wrong", "Invalid token"), ("%C3%BC", "Invalid token")],
)
async def test_bad_credential_gets_an_error_frame_and_a_close(
    emulator: Emulator, endpoint: str, secret: str, message: str
) -> None:
    async with Peer.dial(emulator, endpoint, secret=secret) as peer:
        assert await error_and_close(peer) == (message, 1008)
    (record,) = await emulator.call_log.ended()
    assert record.ended_by == "vendor"


async def test_second_initialize_is_refused(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.initialize("echo")
        assert await error_and_close(peer) == ("Multiple init messages received", 1008)


async def test_no_initialize_is_refused_after_the_time_out() -> None:
    options = Options(initialize_timeout=0.2)
    async with Emulator(options) as emulator, Peer.dial(emulator) as peer:
        assert await error_and_close(peer) == ("Init message not received", 1008)


async def test_another_first_frame_is_refused(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.say("hello")
        assert await error_and_close(peer) == ("Init message not received", 1008)


@pytest.mark.parametrize(("endpoint", "carries"), [("dev", "request"), ("webCall", "devRequest")])
async def test_the_other_endpoints_request_is_dropped(
    emulator: Emulator, endpoint: str, carries: str
) -> None:
    async with Peer.dial(emulator, endpoint) as peer:
        await peer.initialize("echo", carries=carries)
        assert await peer.closed() == (1006, "")
    assert peer.frames == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"callType": "telepathy"}, "Unknown callType"),
        ({}, "Unknown callType"),
        ({"callType": "onPhone"}, "Endpoint is required"),
        ({"callType": "chat", "additionalData": {"agent": "nobody"}}, "No agent 'nobody'"),
        ({"callType": "chat", "additionalData": {"fault": "none"}}, "No fault 'none'"),
        ({"callType": "chat", "additionalData": {"fault": "refuse"}}, "strikes before initialize"),
    ],
)
async def test_an_initialize_that_cannot_be_served_says_why(
    emulator: Emulator, request_: dict[str, Any], message: str
) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.send("initialize", devRequest=request_)
        told, code = await error_and_close(peer)
        assert message in told
        assert code == 1008


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "incomingChatMessage", "content": {"text": "hi"}},
        {"type": "incomingChatMessage", "content": None},
        {"type": "incomingChatMessage"},
        {"type": "websocketToolResponse", "content": {"id": "1", "result": 1}},
        {"type": "websocketToolResponse", "channelId": None, "content": "1"},
        {"type": "websocketToolResponse", "channelId": None, "content": {"id": "1"}},
        {"type": "websocketToolResponse", "channelId": None, "content": {"id": 1, "result": 1}},
        {"type": "sdpAnswer", "channelId": None, "data": {"sdp": "v=0"}},
        {"type": "incomingChatMessage", "content": "hi", "timestamp": ...},
        {"content": "no type"},
    ],
    ids=lambda frame: f"{frame.get('type')}-{len(str(frame))}",
)
async def test_a_frame_of_the_wrong_shape_is_closed_with_1007(
    emulator: Emulator, frame: dict[str, Any]
) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        whole = {"timestamp": now(), **frame}
        await peer.raw(json.dumps({k: v for k, v in whole.items() if v is not ...}))
        assert (await peer.closed())[0] == 1007
    assert peer.of("error") == []
    (record,) = await emulator.call_log.ended()
    assert record.close_sent == 1007
    assert record.violations


@pytest.mark.parametrize(
    ("message", "code"),
    [("{", 1007), ("[]", 1007), ('"x"', 1007), (b"\x00\x01", 1003)],
)
async def test_what_is_no_json_object_is_closed(
    emulator: Emulator, message: str | bytes, code: int
) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.raw(message)
        assert (await peer.closed())[0] == code


async def test_invalid_utf8_is_closed_with_1007(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.socket.send(b'{"type":"\xff"}', text=True)
        assert (await peer.closed())[0] == 1007


async def test_too_large_a_message_is_refused(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.say("x" * emulator.options.max_message)
        assert await error_and_close(peer) == ("Too large message", 1009)


async def test_far_too_large_a_message_is_cut_off(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.until("event", name="connection")
        await peer.say("x" * 8 * emulator.options.max_message)
        assert (await peer.closed())[0] in {1006, 1009}


async def test_a_fragmented_message_is_one_message(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        frame = {"type": "incomingChatMessage", "timestamp": now(), "content": "in pieces"}
        await peer.socket.send(iter(re.findall(".{1,5}", json.dumps(frame))))
        await peer.spoken("in pieces")


async def test_unknown_types_and_unasked_answers_are_noted_not_punished(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.send("dance")
        await peer.answer("nobody-asked", 1)
        await peer.send("sdpAnswer", data={"sdpAnswer": "v=0"})
        await peer.say("well?")
        await peer.spoken("well?")
    (record,) = await emulator.call_log.ended()
    assert record.violations == [
        "unknown type dance",
        "unsolicited tool response",
        "sdpAnswer without sdpInvite",
    ]


async def test_answering_a_tool_twice_is_noted(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("support")
        await peer.say("1001")
        request = await peer.until("websocketToolRequest")
        await peer.answer(request["content"]["id"], {"status": "shipped"})
        await peer.answer(request["content"]["id"], {"status": "lost"})
        await peer.send("terminate")
        await peer.closed()
    (record,) = await emulator.call_log.ended()
    assert record.violations == ["tool request answered twice, or too late"]
    assert record.tool_answers[request["content"]["id"]] == 2


@pytest.fixture
async def varied() -> AsyncIterator[list[Peer]]:
    """Twelve conversations of the same script, one after the other."""
    peers = []
    async with Emulator(Options()) as emulator:
        for _ in range(12):
            async with Peer.dial(emulator, "webCall") as peer:
                await peer.initialize("support", carries="request")
                await peer.say("1001")
                for _ in range(2):
                    request = await peer.until("websocketToolRequest")
                    await peer.answer(request["content"]["id"], 1)
                await peer.closed()
                peers.append(peer)
        yield peers


async def test_frames_vary_as_the_vendors_do(varied: list[Peer]) -> None:
    frames = [frame for peer in varied for frame in peer.frames]
    connections = [frame["data"] for frame in frames if frame.get("name") == "connection"]
    assert {key for data in connections for key in data} == {"recordId", "jobId"}
    assert {"agentState", "callStats"} <= {frame["type"] for frame in frames}
    assert "transcriptionReady" in {frame.get("name") for frame in frames}
    assert any("traceId" in frame for frame in frames)
    assert any("channelId" in frame for frame in frames)
    assert any("channelId" not in frame for frame in frames)
    shapes = {re.sub(r"\d+", lambda m: str(len(m[0])), frame["timestamp"]) for frame in frames}
    assert shapes == {
        "4-2-2T2:2:2.3Z",
        "4-2-2T2:2:2.7Z",
        "4-2-2T2:2:2.6+2:2",
        "4-2-2T2:2:2Z",
    }
    assert all(dt.datetime.fromisoformat(frame["timestamp"]).tzinfo for frame in frames)


async def test_plain_turns_variety_off(emulator: Emulator) -> None:
    for _ in range(4):
        async with Peer.dial(emulator) as peer:
            await peer.initialize("echo", plain=True)
            await peer.say("bye")
            await peer.closed()
            assert {frame["type"] for frame in peer.frames} == {
                "event",
                "text",
                "conversationResult",
            }
            assert "recordId" in peer.frames[0]["data"]
            assert all(frame["timestamp"].endswith("Z") for frame in peer.frames)


async def test_a_client_that_closes_without_terminate_is_noted(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.until("event", name="connection")
        await peer.socket.close(1001, "leaving")
    (record,) = await emulator.call_log.ended()
    assert (record.terminated, record.ended_by, record.close_received) == (False, "client", 1001)


async def test_a_client_that_never_answers_the_close_is_let_go() -> None:
    options = Options(close_timeout=0.2)
    async with Emulator(options) as emulator, raw(emulator) as (reader, writer):
        writer.write(upgrade("wrong"))
        await emulator.call_log.ended()
        await emulator.call_log.until(lambda ledger: ledger.counters["sockets_open"] == 0)
        assert (await reader.read()).startswith(b"HTTP/1.1 101")
