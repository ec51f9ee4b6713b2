"""A connection to one MCP server, by the official SDK, within this gateway's bounds."""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from app.egress import EgressRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.tools.mcp_spec import McpServerSpec
    from app.tools.mcp_transport import Guarded, Way

STEP_TIMEOUT: Final = 10.0
MAX_ANSWER: Final = 1024 * 1024


@asynccontextmanager
async def connected(spec: McpServerSpec, way: Way) -> AsyncIterator[Client]:
    """Connect and shake hands; a stdio child lives as long as the context.

    Raises whatever the SDK, the system or the network raises.
    """
    if spec.url is None:
        async with _over_stdio(spec) as client:
            yield client
        return
    url = spec.url.get_secret_value()
    host = httpx2.URL(url).host
    async with (
        httpx2.AsyncClient(
            transport=_Pinned(way.to(host)),
            headers={name: value.get_secret_value() for name, value in spec.headers.items()}
            | {"user-agent": "blackbox-relay", "accept-encoding": "identity"},
            # Event streams may be silent for long; each request has a deadline of its own.
            timeout=httpx2.Timeout(STEP_TIMEOUT, read=None),
            follow_redirects=False,
            trust_env=False,
        ) as http,
        Client(
            streamable_http_client(url, http_client=http),
            read_timeout_seconds=STEP_TIMEOUT,
            cache=None,
        ) as client,
    ):
        yield client


@asynccontextmanager
async def _over_stdio(spec: McpServerSpec) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(
        command=spec.command or "",
        args=spec.args,
        env={name: value.get_secret_value() for name, value in spec.env.items()},
        cwd=spec.cwd,
    )
    with Path(os.devnull).open("w") as nowhere:  # noqa: ASYNC230 - nothing to wait for
        errors = sys.stderr if spec.show_stderr else nowhere
        async with Client(
            stdio_client(parameters, errlog=errors), read_timeout_seconds=STEP_TIMEOUT, cache=None
        ) as client:
            yield client


class _Pinned(httpx2.AsyncBaseTransport):
    """Sends to checked addresses alone, and bounds what comes back."""

    def __init__(self, inner: Guarded) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except EgressRefused as error:
            raise httpx2.ConnectError(type(error).__name__, request=request) from None
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            return response  # The SDK bounds each event.
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise TypeError("an asynchronous response body is needed")
        response.stream = _Bounded(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > MAX_ANSWER:
                raise httpx2.ReadError("the answer is too large")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
