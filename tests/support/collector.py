"""An OpenTelemetry collector: OTLP over HTTP as far as spans need it, well or badly behaved."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What arrived. A `silent` one takes every request and answers none."""

    def __init__(self, *, silent: bool = False) -> None:
        self.spans: list[Span] = []
        self.resource: dict[str, str] = {}
        self.requests = 0
        self.silent = silent
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
                self._take(ExportTraceServiceRequest.FromString(body))
                if not self.silent:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _take(self, request: Any) -> None:
        self.requests += 1
        for one in request.resource_spans:
            self.resource |= {a.key: a.value.string_value for a in one.resource.attributes}
            for scope in one.scope_spans:
                self.spans += scope.spans


@asynccontextmanager
async def collector(
    tls: ssl.SSLContext | None = None, *, silent: bool = False
) -> AsyncIterator[Collector]:
    """A collector for the time of a block."""
    running = Collector(silent=silent)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0, ssl=tls)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()  # connections that a silent collector holds end with their client
