"""What browsers do wrong: each is answered, counted, logged in one line, and kept from upstream."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.browser import browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")

TEXT = "canary-of-what-was-said"
UNREADABLE = {
    "doubled key": '{"type":"incomingChatMessage","content":"a","content":"%s"}',
    "doubled key in escapes": r'{"type":"incomingChatMessage","content":"%s","c\u006fntent":"b"}',
    "NaN": '{"type":"incomingChatMessage","content":"%s","n":NaN}',
    "infinite": '{"type":"incomingChatMessage","content":"%s","n":Infinity}',
    "deep": '{"type":"incomingChatMessage","content":"%s","n":' + "[" * 70 + "]" * 70 + "}",
    "very deep": '{"type":"incomingChatMessage","content":"%s","n":' + "[" * 1900,
    "surrogate": r'{"type":"incomingChatMessage","content":"%s\ud800"}',
    "no object": '["%s"]',
    "a text": '"%s"',
    "null": "null",
    "no type": '{"content":"%s"}',
    "type is no text": '{"type":7,"content":"%s"}',
    "half": '{"type":"incomingChatMessage","content":"%s',
    "nothing": "",
}
FORBIDDEN = {
    "unknown type": ("type_not_allowed", {"type": "agentCommand", "content": TEXT}),
    "a frame of the vendor's": ("type_not_allowed", {"type": "conversationResult", "result": {}}),
    "a frame of the gateway's": ("type_not_allowed", {"type": "relay.session", "data": {}}),
    "unasked answer": (
        "unasked_response",
        {"type": "websocketToolResponse", "content": {"id": "call_1", "result": TEXT}},
    ),
    "second initialize": ("second_initialize", {"type": "initialize", "request": {"x": TEXT}}),
}
MISSHAPEN = {
    "content is no text": {"type": "incomingChatMessage", "content": {"text": TEXT}},
    "no content": {"type": "incomingChatMessage"},
    "answer without a result": {"type": "websocketToolResponse", "content": {"id": TEXT}},
    "answer without SDP": {"type": "sdpAnswer", "data": {"sdp": TEXT}},
}


async def three_strikes(
    gateway: Gateway, vendor: Emulator, sent: str | bytes, code: int, reason: str
) -> None:
    """Send a bad frame three times; hold what the answer, the vendor, the log and metrics say."""
    marker = uuid4().hex
    metric = f'relay_refusals_total{{reason="{reason}"}}'
    before = await gateway.metric(metric)
    async with browser(f"{gateway.ws}/ws/echo") as page:
        await page.wish(marker=marker)
        session = await page.connected()
        for strike in range(3):
            await page.send(sent)
            error = (await page.frame("error"))["data"]
            assert (error["code"], error["retry"], error["sessionId"]) == (code, "no", session)
            if strike == 0:
                await page.talks()  # one bad frame does not end a conversation
        assert await page.closed() == code
    assert set(await vendor.kinds(marker, ended=True)) == {
        "initialize",
        "incomingChatMessage",
        "terminate",
    }
    conversation = json.dumps(await vendor.conversation(marker))
    assert TEXT not in conversation
    assert await gateway.metric(metric) == before + 3
    await until(lambda: len(gateway.lines("refused", session=session, reason=reason)) == 3)
    assert [line["code"] for line in gateway.lines("session_ended", session=session)] == [code]
    assert TEXT not in gateway.log


@pytest.mark.parametrize("name", UNREADABLE)
async def test_unreadable_frames_are_refused_and_the_third_ends_it(
    hasty: Gateway, vendor: Emulator, name: str
) -> None:
    await three_strikes(hasty, vendor, UNREADABLE[name].replace("%s", TEXT), 4400, "bad_json")


async def test_binary_frames_are_refused(hasty: Gateway, vendor: Emulator) -> None:
    await three_strikes(hasty, vendor, TEXT.encode(), 4400, "binary")


@pytest.mark.parametrize("name", MISSHAPEN)
async def test_misshapen_frames_are_refused(hasty: Gateway, vendor: Emulator, name: str) -> None:
    await three_strikes(hasty, vendor, json.dumps(MISSHAPEN[name]), 4400, "bad_shape")


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_forbidden_frames_are_refused(hasty: Gateway, vendor: Emulator, name: str) -> None:
    reason, frame = FORBIDDEN[name]
    await three_strikes(hasty, vendor, json.dumps(frame), 4403, reason)


async def test_frames_pass_as_they_were_written(hasty: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    sent = '{ "n":1.0e2, "type" :"incomingChatMessage","timestamp":"t","content":"\\u00e9 é \\/"}'
    async with browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(marker=marker)
        await page.connected()
        await page.send(sent)
        while (await page.frame("text"))["content"]["text"] != "é é /":
            pass
        assert await page.terminate() == 1000
    conversation = await vendor.conversation(marker)
    assert sent in [kept["raw"] for kept in conversation["received"]]


async def test_flood_of_frames_ends_with_4429(hasty: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    before = await hasty.metric('relay_refusals_total{reason="frame_rate"}')
    async with browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(marker=marker, echoUser=False)
        session = await page.connected()
        with suppress(ConnectionClosed):
            for number in range(300):
                await page.say(f"flood {number}")
        error, code = await page.refused()
    assert code == error["code"] == 4429
    assert error["retry"] == "reconnect"
    assert error["retryAfter"] > 0
    kinds = await vendor.kinds(marker, ended=True)
    assert kinds.count("incomingChatMessage") < 300
    assert await hasty.metric('relay_refusals_total{reason="frame_rate"}') == before + 1
    await until(lambda: hasty.lines("session_ended", session=session, code=4429))
    assert len(hasty.lines("refused", session=session)) == 1


@pytest.mark.parametrize("opcode", [0x9, 0xA], ids=["ping", "pong"])
async def test_flood_of_pings_ends_with_4429(hasty: Gateway, vendor: Emulator, opcode: int) -> None:
    marker = uuid4().hex
    flood = b"".join(masked(opcode, b"x" * 100) for _ in range(500))
    async with browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(marker=marker)
        session = await page.connected()
        page.socket.transport.write(flood)
        error, code = await page.refused()
    assert code == error["code"] == 4429
    await ended_and_counted(hasty, session, 4429, "too_many")
    assert await vendor.kinds(marker, ended=True) == ["initialize", "terminate"]


@pytest.mark.parametrize(
    ("opcode", "payload", "code", "reason"),
    [
        (0x1, b'{"type":"incomingChatMessage","content":"\xff\xfe"}', 1007, "not_utf8"),
        (0x1, b'{"a":"' + b"x" * 5000 + b'"}', 1009, "frame_too_large"),
        (0x3, b"a reserved opcode", 4400, "bad_frames"),
    ],
    ids=["not UTF-8", "too large", "reserved opcode"],
)
async def test_error_frame_goes_before_the_close_of_a_broken_socket(
    hasty: Gateway, vendor: Emulator, opcode: int, payload: bytes, code: int, reason: str
) -> None:
    marker = uuid4().hex
    before = await hasty.metric(f'relay_refusals_total{{reason="{reason}"}}')
    async with browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(marker=marker)
        session = await page.connected()
        page.socket.transport.write(masked(opcode, payload))
        error, closed = await page.refused()
    assert error["code"] == code
    assert error["sessionId"] == session
    # RFC 6455 has a code of its own for broken framing.
    assert closed == (1002 if code == 4400 else code)
    await ended_and_counted(hasty, session, code, reason)
    assert await hasty.metric(f'relay_refusals_total{{reason="{reason}"}}') == before + 1
    assert await vendor.kinds(marker, ended=True) == ["initialize", "terminate"]


async def test_early_frames_are_kept_within_a_bound(calm: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    await vendor.order("hang")
    async with browser(f"{calm.ws}/ws/echo?call_type=chat") as page:
        with suppress(ConnectionClosed):
            for number in range(70):
                await page.say(f"early {number} {marker}")
                await asyncio.sleep(0.02)  # within the rate: it is the waiting that is bounded
        error, code = await page.refused()
    assert code == error["code"] == 4429
    assert marker not in json.dumps(await vendor.conversations())


async def test_early_frames_arrive_behind_initialize_and_in_order(
    hasty: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    async with browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(marker=marker)
        for number in range(5):
            await page.say(f"early {number}")
        await page.connected()
        await page.talks("late")
        await page.terminate()
    received = (await vendor.conversation(marker))["received"]
    assert received[0]["frame"]["type"] == "initialize"
    said = [kept["frame"].get("content") for kept in received[1:]]
    assert said[:6] == [*(f"early {number}" for number in range(5)), "late"]


async def test_browser_cannot_widen_what_the_agent_is_told(
    hasty: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    async with browser(f"{hasty.ws}/ws/echo") as page:
        await page.send(
            {
                "type": "initialize",
                "devRequest": {"additionalData": {"agent": "evil"}},
                "request": {
                    "callType": "chat",
                    "priority": 99,
                    "endpoint": "+15550000000",
                    "additionalData": {"marker": marker, "agent": "evil", "admin": True},
                },
            }
        )
        await page.connected()
        await page.terminate()
    opening = (await vendor.conversation(marker))["received"][0]["frame"]
    assert opening["devRequest"] == {
        "callType": "chat",
        "additionalData": {"agent": "echo", "marker": marker},
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/ws/nobody", 4404),
        ("/ws/echo?call_type=fax", 4403),
        ("/ws/phone?call_type=onPhone", 4403),
        ("/ws/phone?call_type=onPhone&endpoint=%2B19005551234", 4403),
        ("/ws/echo?resume=a.b&received=0", 4403),
    ],
)
async def test_what_is_not_allowed_is_told_by_frame_or_by_status(
    hasty: Gateway, path: str, code: int
) -> None:
    dials = len(hasty.lines("session_started"))
    async with browser(hasty.ws + path, origin=hasty.base) as page:
        error, closed = await page.refused()
    assert closed == error["code"] == code
    with pytest.raises(InvalidStatus) as refused:
        async with browser(hasty.ws + path):
            pass
    response = refused.value.response
    assert response.status_code == code - 4000
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body or b"")["code"] == code
    await until(lambda: hasty.lines("browser_refused", code=code))
    assert len(hasty.lines("session_started")) == dials
    assert not hasty.lines(logger="uvicorn.error", level="error")


async def test_controls_in_names_are_escaped_in_the_log(hasty: Gateway) -> None:
    async with browser(
        f"{hasty.ws}/ws/%0d%0a%1b[31mred?call_type=%0d%0ax", origin=hasty.base
    ) as page:
        assert (await page.refused())[1] == 4404
    await page_said(hasty)
    assert "\x1b" not in hasty.log
    assert "\r" not in hasty.log


async def page_said(gateway: Gateway) -> None:
    await until(lambda: gateway.lines("browser_refused", code=4404))


async def ended_and_counted(gateway: Gateway, session: str, code: int, reason: str) -> None:
    """Wait for the session's last line, and hold that one line told of the refusal."""
    await until(lambda: gateway.lines("session_ended", session=session, code=code))
    assert len(gateway.lines("refused", session=session, reason=reason)) == 1


def masked(opcode: int, payload: bytes) -> bytes:
    """A browser's whole frame, by the mask that leaves bytes as they are (RFC 6455 §5.2)."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload
