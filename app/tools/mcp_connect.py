"""A connection to one MCP server, by the official SDK, within this gateway's bounds."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT
from pydantic import ValidationError

from app.egress import EgressRefused
from app.egress.answers import is_compressed
from app.egress.causes import is_certificate_error
from blackbox_relay.causes import McpLoss

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from app.tools.mcp_spec import McpServerSpec
    from app.tools.mcp_transport import Guarded, Way

STEP_TIMEOUT: Final = 10.0
MAX_ANSWER: Final = 1024 * 1024
SESSION: Final = "mcp-session-id"
NOT_FOUND: Final = 404


@dataclass(slots=True)
class Asked:
    """One request of ours; `refused` where the server did not look at it."""

    refused: bool = False


ASKED: Final[ContextVar[Asked | None]] = ContextVar("asked", default=None)
"""Whose request goes out: the SDK hands a sender's context down to its transport."""


@dataclass(slots=True)
class Road:
    """What the HTTP below the SDK saw: the last answer's status, and that a session is gone.

    A server answers 404 to the session id that it has forgotten, and its client begins a new
    session (MCP 2025-06-18, Streamable HTTP, Session Management). `forgotten` is called then.
    """

    forgotten: Callable[[], None]
    session_lost: bool = False
    status: int = 0

    def saw(self, request: httpx2.Request, status: int) -> None:
        """Take note of an answer."""
        self.status = status
        if status == NOT_FOUND and request.method == "POST" and SESSION in request.headers:
            self.session_lost = True
            if (asked := ASKED.get()) is not None:
                asked.refused = True
            self.forgotten()


class Unusable(httpx2.ReadError):
    """A server's answer or address is refused here; `loss` says why."""

    def __init__(self, loss: McpLoss) -> None:
        super().__init__(loss.value)
        self.loss = loss


@asynccontextmanager
async def connected(spec: McpServerSpec, way: Way, road: Road) -> AsyncIterator[Client]:
    """Connect and shake hands; a stdio child lives as long as the context.

    Raises whatever the SDK, the system or the network raises: `loss_of` names it.
    """
    if spec.url is None:
        async with _over_stdio(spec) as client:
            yield client
        return
    url = spec.url.get_secret_value()
    host = httpx2.URL(url).host
    async with (
        httpx2.AsyncClient(
            transport=_Pinned(way.to(host), road),
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

    def __init__(self, inner: Guarded, road: Road) -> None:
        self._inner = inner
        self._road = road

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except EgressRefused:
            raise Unusable(McpLoss.ADDRESS_NOT_ALLOWED) from None
        self._road.saw(request, response.status_code)
        if not isinstance(response.stream, httpx2.AsyncByteStream):
            raise TypeError("an asynchronous response body is needed")
        # No compression was accepted: a body that has some is refused, other words mean nothing.
        compressed = is_compressed(response.headers.pop("content-encoding", ""))
        # The SDK bounds each event of a stream.
        stream = response.headers.get("content-type", "").startswith("text/event-stream")
        response.stream = _Bounded(response.stream, None if stream else MAX_ANSWER, compressed)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """A body within its bound, uncompressed, and without a byte order mark (RFC 8259 §8.1)."""

    def __init__(
        self,
        stream: httpx2.AsyncByteStream,
        limit: int | None,
        compressed: bool,
    ) -> None:
        self._stream = stream
        self._limit = limit
        self._compressed = compressed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        head: bytes | None = b""
        async for part in self._stream:
            size += len(part)
            if part and self._compressed:
                raise Unusable(McpLoss.ANSWER_COMPRESSED)
            if self._limit is not None and size > self._limit:
                raise Unusable(McpLoss.ANSWER_TOO_LARGE)
            if head is None:
                yield part
                continue
            head += part
            if len(head) >= len(codecs.BOM_UTF8) or not codecs.BOM_UTF8.startswith(head):
                begun, head = head.removeprefix(codecs.BOM_UTF8), None
                yield begun
        if head:
            yield head

    async def aclose(self) -> None:
        await self._stream.aclose()


def loss_of(error: BaseException, road: Road) -> McpLoss:
    """Name why a server was lost; texts may hold URLs and payloads, and are never used."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case Unusable():
            return error.loss
        case FileNotFoundError() | NotADirectoryError():
            return McpLoss.COMMAND_NOT_FOUND
        case PermissionError():
            return McpLoss.COMMAND_NOT_EXECUTABLE
        case TimeoutError() | httpx2.TimeoutException():
            return McpLoss.TIMEOUT
        case MCPError(code=code):
            return _answered(code, road.status)
        case ValidationError() | RuntimeError():  # not MCP, or none of the versions known here
            return McpLoss.ANSWER_INVALID
        case httpx2.TransportError():
            trusted = not is_certificate_error(error)
            return McpLoss.UNREACHABLE if trusted else McpLoss.CERTIFICATE_NOT_TRUSTED
    return McpLoss.CONNECTION_CLOSED


def _answered(code: int, status: int) -> McpLoss:
    """Name an error of the SDK's; below HTTP errors it has codes of its own making."""
    if 300 <= status < 600:  # noqa: PLR2004 - neither a success nor no HTTP at all
        return McpLoss(f"http_{status // 100}xx")
    if code == REQUEST_TIMEOUT:
        return McpLoss.TIMEOUT
    return McpLoss.CONNECTION_CLOSED if code == CONNECTION_CLOSED else McpLoss.REFUSED
