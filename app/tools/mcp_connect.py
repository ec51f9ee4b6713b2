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

from app.egress import AllowedHosts, EgressRefused, Resolve, checked_addresses, system_resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.tools.mcp_spec import McpServerSpec

STEP_TIMEOUT: Final = 10.0
MAX_ANSWER: Final = 1024 * 1024


@asynccontextmanager
async def connected(
    spec: McpServerSpec, allowed: AllowedHosts, resolve: Resolve = system_resolve
) -> AsyncIterator[Client]:
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
            transport=_Pinned(allowed.trusting(host), resolve),
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
    """Connects to a checked address under the name's Host and TLS.

    One client has one server here, so that a pool which knows addresses mixes up no names.
    """

    def __init__(self, allowed: AllowedHosts, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._inner = httpx2.AsyncHTTPTransport(
            verify=httpx2.create_ssl_context(), trust_env=False, retries=0
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host, port = request.url.host, request.url.port
        port = port or (443 if request.url.scheme == "https" else 80)
        try:
            addresses = await checked_addresses(self._allowed, self._resolve, host, port)
        except (OSError, EgressRefused) as error:
            raise httpx2.ConnectError(type(error).__name__, request=request) from None
        response = await self._inner.handle_async_request(
            httpx2.Request(
                request.method,
                request.url.copy_with(host=addresses[0]),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
        )
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
