"""The native upgrade: a request for a WebSocket on uvicorn's own connection (uvicorn 0.54)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import structlog
from typing_extensions import override

from app.server.interface import Endpoint, Upgrade, UpgradeGone, UpgradeRequest, UpgradeState
from app.server.response import closing, problem, switching
from app.websocket.server_connection import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from app.websocket.io_batcher import IoBatcher
    from app.websocket.limits import WireLimits

log = structlog.get_logger(__name__)

_PENDING = UpgradeState.PENDING
_FAULT = "Something went wrong on our side."


class NativeUpgrade(asyncio.Protocol, Upgrade):
    """An `Upgrade`, and its transport's protocol until the handshake is answered.

    `accept` hands the transport over in one step, with what came behind the handshake: one read
    of that is kept until then, and no more is read. `http` is what read the request, and `key` the
    value of `Sec-WebSocket-Accept`.
    """

    def __init__(
        self, http: HttpToolsProtocol, key: str, limits: WireLimits, batcher: IoBatcher
    ) -> None:
        raw_path, _, query = http.url.partition(b"?")
        self.request = UpgradeRequest(
            headers=http.headers,
            path=unquote(raw_path.decode("ascii")),
            query=query,
            client=http.client[0] if http.client else "",
            scheme=http.scheme or "http",
            root_path=http.root_path,
        )
        self.state = _PENDING
        self._key = key
        self._limits = limits
        self._batcher = batcher
        self._early = b""
        self._transport: asyncio.Transport = http.transport
        self._default_headers = http.server_state.default_headers
        connections: set[Any] = http.connections
        self._connections = connections
        self._connections.add(self)

    async def run(self, endpoint: Endpoint) -> None:
        """Run the endpoint. Where it gives no answer, give one."""
        try:
            await endpoint(self)
        except UpgradeGone:
            pass
        except Exception:
            log.exception("request_crashed")
        else:
            if self.state is _PENDING:
                log.error("request_unanswered")
        finally:
            self._fail()

    # The upgrade

    @override
    async def accept(self, subprotocol: str | None = None) -> ServerConnection:
        transport = self._transport
        if self.state is _PENDING and transport.is_closing():
            self.state = UpgradeState.GONE
        self._check()
        if self.state is not _PENDING:
            raise UpgradeGone("the browser has gone")
        transport.write(switching(self._key, self._default_headers, subprotocol))
        transport.pause_reading()
        self.state = UpgradeState.ACCEPTED
        self._connections.discard(self)
        early, self._early = self._early, b""
        socket = ServerConnection(transport, self._limits, self._batcher, early, self._connections)
        transport.set_protocol(cast("asyncio.Protocol", socket))
        return socket

    @override
    async def reject(
        self, status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> None:
        self._check()
        if self.state is _PENDING:
            self._end(closing(status, headers, body), UpgradeState.REJECTED)

    def _check(self) -> None:
        if self.state in (UpgradeState.ACCEPTED, UpgradeState.REJECTED):
            raise RuntimeError("this handshake has its answer")

    def _fail(self) -> None:
        if self.state is _PENDING:
            answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, _FAULT)
            self._end(answer, UpgradeState.GONE)

    def _end(self, answer: bytes, state: UpgradeState) -> None:
        self.state = state
        self._early = b""
        self._transport.write(answer)
        self._transport.close()

    # The transport's calls, and the server's

    @override
    def data_received(self, data: bytes) -> None:
        """Keep what comes behind the handshake, and read no further."""
        if self.state is _PENDING:
            self._early += data
            self._transport.pause_reading()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self.state is _PENDING:
            self.state = UpgradeState.GONE

    def shutdown(self) -> None:
        """Answer, as the server stops: the endpoint finds no peer any more."""
        self._fail()
