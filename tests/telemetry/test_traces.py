"""Traces as a real OTLP receiver gets them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect

from tests.support.collector import collector
from tests.support.gateway import Gateway
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Emulator

pytestmark = pytest.mark.asyncio(loop_scope="module")
PARTS = {
    "relay.session",
    "relay.connect",
    "relay.authenticate",
    "relay.dial",
    "relay.initialize",
    "relay.tool",
}


async def test_session_is_one_trace_with_its_parts_and_without_contents(
    emulator: Emulator,
) -> None:
    async with collector() as received:
        gateway = Gateway(emulator.url)
        gateway.environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{received.port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        await gateway.start()
        try:
            await gateway.ready()
            async with asyncio.timeout(60), connect(f"{gateway.ws}/ws/support") as ws:
                async for message in ws:
                    frame = json.loads(message)
                    if frame.get("name") == "connection":
                        words = "my secret order 1001"
                        said = {"type": "incomingChatMessage", "content": words}
                        await ws.send(json.dumps(said))
                    if frame["type"] == "websocketToolRequest":
                        answer = {"id": frame["content"]["id"], "result": 1}
                        response = {"type": "websocketToolResponse", "content": answer}
                        await ws.send(json.dumps(response))
            await until(lambda: {span.name for span in received.spans} >= PARTS)
        finally:
            await gateway.stop()
    session = next(span for span in received.spans if span.name == "relay.session")
    assert {span.trace_id for span in received.spans} == {session.trace_id}
    attributes = {pair.key: pair.value for pair in session.attributes}
    assert attributes["relay.close_code"].int_value == 1000
    assert attributes["relay.agent"].string_value == "support"
    assert "secret" not in str(received.spans)
