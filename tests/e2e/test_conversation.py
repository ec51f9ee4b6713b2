"""Conversations through a real gateway to a real emulator, over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

NATIVE = [Subprotocol("blackbox-relay.v1")]


async def frame(ws: ClientConnection, kind: str, name: str | None = None) -> dict[str, Any]:
    """Read until a frame of this type and name."""
    async with asyncio.timeout(60):
        while True:
            read: dict[str, Any] = json.loads(await ws.recv())
            if read["type"] == kind and (name is None or read.get("name") == name):
                return read


async def closed(ws: ClientConnection) -> int:
    """Read to the end; return the close code."""
    async with asyncio.timeout(60):
        with pytest.raises(ConnectionClosed) as over:  # noqa: PT012 - reading until it ends
            while True:
                await ws.recv()
    assert over.value.rcvd is not None, "closed without a close frame"
    return int(over.value.rcvd.code)


def chat(text: str) -> str:
    return json.dumps({"type": "incomingChatMessage", "content": text})


async def test_session_event_comes_first(gateway: Gateway) -> None:
    async with connect(f"{gateway.ws}/ws/echo?call_type=chat", subprotocols=NATIVE) as ws:
        first = json.loads(await ws.recv())
    assert ws.subprotocol == "blackbox-relay.v1"
    assert (first["type"], first["name"]) == ("event", "relay.session")
    assert first["data"]["agent"] == "echo"
    assert first["data"]["callType"] == "chat"
    assert first["data"]["resume"]["window"] == 30


async def test_support_conversation_uses_both_kinds_of_tools(
    gateway: Gateway, emulator: Emulator
) -> None:
    async with connect(f"{gateway.ws}/ws/support?call_type=chat", subprotocols=NATIVE) as ws:
        await frame(ws, "event", "connection")
        await ws.send(chat("Where is my order 1001?"))
        request = await frame(ws, "websocketToolRequest")
        assert request["content"]["toolName"] == "show_order"
        answer = {"id": request["content"]["id"], "result": {"shown": True}}
        await ws.send(json.dumps({"type": "websocketToolResponse", "content": answer}))
        result = await frame(ws, "conversationResult")
        assert result["result"]["status"] == "Completed"
        assert await closed(ws) == 1000
    sent = [received["type"] for received in await emulator.received()]
    assert sent.count("initialize") == 1
    assert sent.count("websocketToolResponse") == 2


async def test_backend_tool_frames_are_not_shown(gateway: Gateway) -> None:
    seen = []
    async with connect(f"{gateway.ws}/ws/support?call_type=chat") as ws:
        await frame(ws, "event", "connection")
        await ws.send(chat("Where is my order 1001?"))
        while True:
            read = json.loads(await ws.recv())
            seen.append(read)
            if read["type"] == "websocketToolRequest":
                break
    assert not [r for r in seen if r["type"] in {"toolCall", "toolCallResult"}]
    assert [r["content"]["toolName"] for r in seen if r["type"] == "websocketToolRequest"] == [
        "show_order"
    ]


async def test_vendor_client_works_when_only_its_host_changes(
    gateway: Gateway, emulator: Emulator
) -> None:
    async with connect(f"{gateway.ws}/api/v1/ws/webCall?token=whatever") as ws:
        wish = {"callType": "chat", "additionalData": {"fault": None, "secret": "not allowed"}}
        await ws.send(
            json.dumps({"type": "initialize", "timestamp": "2026-01-01T00:00:00Z", "request": wish})
        )
        await frame(ws, "event", "connection")
        await ws.send(chat("hello"))
        while "hello" not in (await frame(ws, "text"))["content"]["text"]:
            pass
        await ws.send(json.dumps({"type": "terminate"}))
        assert await closed(ws) == 1000
    opening = (await emulator.received())[0]
    assert "secret" not in json.dumps(opening)


async def test_vendor_client_that_never_initializes_is_told(emulator: Emulator) -> None:
    from tests.support.gateway import gateway as start  # noqa: PLC0415

    async with (
        start(emulator.url, initialize_timeout=0.3) as gateway,
        connect(f"{gateway.ws}/api/v1/ws/webCall?token=x") as ws,
    ):
        error = await frame(ws, "error")
        assert error["data"]["code"] == 4408
        assert await closed(ws) == 4408


async def test_browser_that_leaves_terminates_upstream(
    gateway: Gateway, emulator: Emulator
) -> None:
    async with connect(f"{gateway.ws}/ws/echo?call_type=chat") as ws:
        await frame(ws, "event", "connection")

    async def terminated() -> bool:
        return any(received["type"] == "terminate" for received in await emulator.received())

    await until(terminated)


async def test_lost_browser_resumes_exactly(gateway: Gateway) -> None:
    url = f"{gateway.ws}/ws/echo?call_type=chat"
    received = 0
    async with connect(url, subprotocols=NATIVE) as ws:
        session = await frame(ws, "event", "relay.session")
        token = session["data"]["resume"]["token"]
        await ws.send(chat("one"))
        while True:
            read = json.loads(await ws.recv())
            received += 1
            if read["type"] == "text" and read["content"]["source"] == "assistant":
                break
        await ws.send(chat("two"))
        ws.transport.abort()
    back = f"{gateway.ws}/ws/echo?resume={token}&received={received}"
    async with connect(back, subprotocols=NATIVE) as ws:
        resumed = await frame(ws, "event", "relay.resumed")
        if resumed["data"]["received"] == 1:
            await ws.send(chat("two"))
        while "two" not in json.dumps(await frame(ws, "text")):
            pass


async def test_unknown_resume_token_is_told_that_all_is_lost(gateway: Gateway) -> None:
    url = f"{gateway.ws}/ws/echo?resume=nonsense.token&received=0"
    async with connect(url, subprotocols=NATIVE) as ws:
        assert (await frame(ws, "error"))["data"]["code"] == 4410
        assert await closed(ws) == 4410


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ('{"type":"nonsense"}', 4403),
        ('{"type":"initialize","type":"initialize"}', 4400),
        ('{"a":NaN,"type":"incomingChatMessage"}', 4400),
        ("[" * 100 + "]" * 100, 4400),
        ('{"type":"incomingChatMessage","content":"\\ud800"}', 4400),
        ('{"type":"incomingChatMessage","content":{"not":"a text"}}', 4400),
        ('{"type":"websocketToolResponse","content":{"id":"never asked","result":1}}', 4403),
        ('{"no":"type"}', 4400),
        ("42", 4400),
    ],
)
async def test_third_refused_frame_ends_the_session(
    gateway: Gateway, emulator: Emulator, sent: str, code: int
) -> None:
    async with connect(f"{gateway.ws}/ws/echo?call_type=chat") as ws:
        await frame(ws, "event", "connection")
        for _ in range(3):
            await ws.send(sent)
        errors = [await frame(ws, "error") for _ in range(3)]
        assert [error["data"]["code"] for error in errors] == [code] * 3
        assert await closed(ws) == code
    kinds = [received["type"] for received in await emulator.received()]
    assert set(kinds) <= {"initialize", "terminate"}


async def test_foreign_origin_is_refused_before_the_upgrade(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{gateway.ws}/ws/echo", origin=Origin("https://evil.example"))
    assert refused.value.response.status_code == 403


async def test_unknown_agent_is_told_to_a_browser_by_frame(gateway: Gateway) -> None:
    async with connect(f"{gateway.ws}/ws/nobody", origin=gateway.base) as ws:  # type: ignore[arg-type]
        assert (await frame(ws, "error"))["data"]["code"] == 4404
        assert await closed(ws) == 4404


async def test_unknown_agent_is_told_to_others_by_status(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{gateway.ws}/ws/nobody")
    assert refused.value.response.status_code == 404
    assert refused.value.response.headers["content-type"] == "application/problem+json"
