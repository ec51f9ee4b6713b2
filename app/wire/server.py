"""uvicorn's two protocols with the holes closed, and the lane on top (uvicorn 0.54).

`make_protocols` gives the classes for `uvicorn.Config(http=…, ws=…)`. uvicorn keeps the listening,
the HTTP parsing, the ASGI cycle and the handshake; the data phase is `Connection`'s.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Request

from app.wire.browser import BrowserSocket
from app.wire.departed import Departed
from app.wire.lane import EXTENSION
from app.wire.plain import PlainAsgi
from app.wire.wheel import NEVER
from app.wire.wiring import Wiring

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

    from app.wire.limits import WireLimits

# What HTTP servers usually allow, and `websockets` too.
_MAX_LINE: Final = 8192
_MAX_HEADERS: Final = 128


def make_protocols(
    limits: WireLimits, wiring: Wiring | None = None
) -> tuple[type[LaneHttpProtocol], type[LaneWebSocketProtocol]]:
    """Make the HTTP and the WebSocket protocol class of one server, bound to its limits."""
    bound = {"limits": limits, "wiring": wiring or Wiring()}
    websocket = type("WebSocketProtocol", (LaneWebSocketProtocol,), bound)
    return type("HttpProtocol", (LaneHttpProtocol,), {**bound, "websocket": websocket}), websocket


class LaneHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP with a time-out and a bound for a request's arrival: it has neither.

    The time-out spans the whole request, its body too, so that neither can be sent for ever.
    """

    limits: ClassVar[WireLimits]
    wiring: ClassVar[Wiring]
    websocket: ClassVar[type[LaneWebSocketProtocol]]

    _slot = NEVER
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Parse, unless the head has grown past its bound."""
        if self._head >= 0:
            # Before this read is added: it may hold the head's end, and a body behind it.
            if self._head > self.limits.max_request_head:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            self._head += len(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self._upgrade(data[upgrade.args[0] :])
            else:
                self._unsupported_upgrade_warning()
        except HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Start the clock of this request, if it is not the connection's first."""
        super().on_message_begin()
        self._head = max(self._head, 0)
        if self._slot == NEVER:
            self._start_clock()

    def on_headers_complete(self) -> None:
        """Stop counting the head."""
        self._head = -1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock: the request is here."""
        self._stop_clock()
        super().on_message_complete()

    def _upgrade(self, early: bytes) -> None:
        """Hand over to the WebSocket protocol, and let go of what this one holds.

        uvicorn would have `websockets` parse the request again, which takes a tenth of a
        session's set-up, and hangs on what only one of the two parsers takes for a request.
        """
        self._stop_clock()
        fault = _fault(self.url, self.headers)
        if fault is not None:
            self._refuse(fault)
            return
        headers = [(name.decode(), value.decode("latin-1")) for name, value in self.headers]
        request = Request(
            self.url.decode("ascii"),
            Headers(headers),
            self.scope["method"],
            f"HTTP/{self.scope['http_version']}",
        )
        self.connections.discard(self)
        protocol = self.websocket(self.config, self.server_state, self.app_state)
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        # Its callbacks make a cycle, which would wait for the collector.
        self.parser = None  # type: ignore[assignment]
        protocol.handle_connect(request)
        if early:
            protocol.data_received(early)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer what cannot be read or is too long, and close."""
        self._stop_clock()
        self.wiring.report("browser", "bad_request", status, self.loop.time())
        line = f"HTTP/1.1 {status} {status.phrase}\r\n"
        self.transport.write(line.encode() + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    def deadline_passed(self) -> None:
        """Drop a request that took too long to arrive."""
        self._slot = NEVER
        self.wiring.report("browser", "slow_request", 408, self.loop.time())
        self.transport.abort()

    def _start_clock(self) -> None:
        self._slot = self.wiring.wheel.add(self, self.limits.handshake_timeout)

    def _stop_clock(self) -> None:
        if self._slot != NEVER:
            self.wiring.wheel.remove(self, self._slot)
            self._slot = NEVER


class LaneWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's handshake, which ends in the lane; never in uvicorn's own data phase.

    Nothing of the data phase is read before it is known who takes it. That is a caller of
    `take`, or the first ASGI message after the accept: then the same connection carries ASGI.
    """

    limits: ClassVar[WireLimits]
    wiring: ClassVar[Wiring]

    _early = b""
    _taken = False
    _plain: PlainAsgi | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _discreet()
        # Compression is never negotiated: a bomb has nothing to explode in.
        self.conn.available_extensions = None
        self.conn.logger = self.logger
        self.conn.debug = False
        self.ping_interval = None  # the lane pings

    def handle_connect(self, event: Request) -> None:
        """Offer the lane to whoever handles this request."""
        super().handle_connect(event)
        if not self.close_sent:
            extensions: dict[str, object] = self.scope["extensions"]  # type: ignore[assignment]
            extensions[EXTENSION] = _Lane(self)

    def data_received(self, data: bytes) -> None:
        """Keep what comes behind the handshake, and read no further."""
        if not self.close_sent:
            self._early += data
            self.transport.pause_reading()

    async def receive(self) -> ASGIReceiveEvent:
        """Receive by plain ASGI, for a handler that did not take the lane."""
        if self._opened() or self._plain is not None:
            return await self._carry_plain_asgi().receive()
        return await super().receive()

    async def send(self, message: ASGISendEvent) -> None:
        """Answer the handshake, or send by plain ASGI."""
        if self._opened() or self._plain is not None:
            await self._carry_plain_asgi().send(message)
        else:
            await super().send(message)
            # uvicorn takes a denied handshake for an unfinished one, and logs an error.
            self.handshake_complete |= self.close_sent

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Close what a handler by plain ASGI left open."""
        super().on_task_complete(task)
        if self._plain is not None:
            self._plain.app_returned()

    def take(self) -> BrowserSocket:
        """Detach the connection from ASGI, and from this object, which may then go."""
        if not self._opened():
            raise RuntimeError("only an accepted WebSocket can be taken, once")
        self._taken = True
        lost = self.disconnected
        transport, self.transport = self.transport, Departed()
        if lost:
            transport = self.transport
        transport.pause_reading()
        socket = BrowserSocket(transport, self.limits, self.wiring, self._early, self.connections)
        self._early = b""
        self.connections.discard(self)
        if lost:
            socket.connection_lost(None)
        else:
            transport.set_protocol(cast("asyncio.Protocol", socket))
        return socket

    def _opened(self) -> bool:
        return self.handshake_complete and not self.close_sent and not self._taken

    def _carry_plain_asgi(self) -> PlainAsgi:
        if self._plain is None:
            self._plain = PlainAsgi(self.take())
        return self._plain


class _Lane:
    """A one-way door: forgets the protocol once it has been used."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: LaneWebSocketProtocol) -> None:
        self._protocol: LaneWebSocketProtocol | None = protocol

    def take(self) -> BrowserSocket:
        if self._protocol is None:
            raise RuntimeError("this WebSocket has been taken")
        socket = self._protocol.take()
        self._protocol = None
        return socket


def _fault(url: bytes, headers: list[tuple[bytes, bytes]]) -> HTTPStatus | None:
    """Say what is wrong with a handshake's head beyond what llhttp has seen to."""
    if len(url) > _MAX_LINE:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if len(headers) > _MAX_HEADERS or any(len(value) > _MAX_LINE for _, value in headers):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if not url.isascii():
        return HTTPStatus.BAD_REQUEST
    # A body would be taken for frames.
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0"):
            return HTTPStatus.BAD_REQUEST
    return None


def _discreet() -> logging.Logger:
    """Give a logger that keeps uvicorn's warnings and drops its lines with the request's query.

    uvicorn logs `?ticket=…` at INFO, and websockets every header at DEBUG.
    """
    logger = logging.Logger("uvicorn.error", logging.WARNING)  # noqa: LOG001 - not to be shared
    logger.parent = logging.getLogger("uvicorn.error")
    return logger
