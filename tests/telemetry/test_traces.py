"""Traces as a real OTLP receiver gets them."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from websockets.asyncio.client import connect

from tests.support.gateway import Gateway
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

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


class Receiver:
    """An OTLP/HTTP receiver: just enough HTTP to take spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take every export of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(fields["content-length"]))
                if fields.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        self.spans += scope.spans
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except asyncio.IncompleteReadError:
            writer.close()


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver for the time of a block."""
    running = Receiver()
    async with await asyncio.start_server(running.serve, "127.0.0.1", 0) as server:
        running.port = server.sockets[0].getsockname()[1]
        yield running


async def test_session_is_one_trace_with_its_parts_and_without_contents(
    emulator: Emulator,
) -> None:
    async with receiver() as collector:
        gateway = Gateway(emulator.url)
        gateway.environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
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
            await until(lambda: {span.name for span in collector.spans} >= PARTS)
        finally:
            await gateway.stop()
    session = next(span for span in collector.spans if span.name == "relay.session")
    assert {span.trace_id for span in collector.spans} == {session.trace_id}
    attributes = {pair.key: pair.value for pair in session.attributes}
    assert attributes["relay.close_code"].int_value == 1000
    assert attributes["relay.agent"].string_value == "support"
    assert "secret" not in str(collector.spans)
