"""uvicorn's two protocols with the holes closed, and the lane on top (uvicorn 0.54).

`make_protocols` gives the classes for `uvicorn.Config(http=…, ws=…)`. uvicorn keeps the listening,
the HTTP parsing, the ASGI cycle and the handshake; the data phase is `Connection`'s.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.server import ServerProtocol

from app.wire.browser import BrowserSocket
from app.wire.lane import EXTENSION
from app.wire.plain import PlainAsgi
from app.wire.wheel import NEVER
from app.wire.wiring import Wiring

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
    from websockets.http11 import Request

    from app.wire.limits import WireLimits

BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def make_protocols(
    limits: WireLimits, wiring: Wiring | None = None
) -> tuple[type[LaneHttpProtocol], type[LaneWebSocketProtocol]]:
    """Make the HTTP and the WebSocket protocol class of one server, bound to its limits."""
    bound = {"limits": limits, "wiring": wiring or Wiring()}
    return (
        type("HttpProtocol", (LaneHttpProtocol,), bound),
        type("WebSocketProtocol", (LaneWebSocketProtocol,), bound),
    )


class LaneHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP with a time-out and a bound for a request's arrival: it has neither.

    The time-out spans the whole request, its body too, so that neither can be sent for ever.
    """

    limits: ClassVar[WireLimits]
    wiring: ClassVar[Wiring]

    _slot = NEVER
    _head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Parse, unless the head has grown past its bound."""
        if self._head >= 0:
            self._head += len(data)
            if self._head > self.limits.max_request_head + len(data):
                self._stop_clock()
                self.send_400_response("Request head too large.")
                return
        super().data_received(data)

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

    def handle_websocket_upgrade(self) -> None:
        """Hand over to the WebSocket protocol, and let go of what this one holds."""
        self._stop_clock()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # a cycle through the parser's callbacks would wait for the collector

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
    _asked = False
    _taken = False
    _plain: PlainAsgi | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _discreet()
        # Compression is never negotiated: a bomb has nothing to explode in.
        self.conn = ServerProtocol(max_size=self.limits.max_message, logger=self.logger)
        self.ping_interval = None  # the lane pings

    def handle_connect(self, event: Request) -> None:
        """Offer the lane to whoever handles this request."""
        super().handle_connect(event)
        self._asked = True
        if not self.close_sent:
            extensions: dict[str, object] = self.scope["extensions"]  # type: ignore[assignment]
            extensions[EXTENSION] = _Lane(self)

    def data_received(self, data: bytes) -> None:
        """Parse the handshake; keep, and read no further, what comes behind it."""
        if not self.handshake_initiated:
            with suppress(UnicodeEncodeError):  # a path or name that is not ASCII
                super().data_received(data)
            if not self._asked:
                self._turn_away()
        elif not self.close_sent:
            self._early += data
            self.transport.pause_reading()

    def _turn_away(self) -> None:
        """Answer a head that cannot be read: uvicorn would neither answer nor ever let go."""
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        answer = b"".join(self.conn.data_to_send())
        self.transport.write(answer or BAD_REQUEST)
        self.transport.close()
        self.wiring.report("browser", "bad_handshake", 400, self.loop.time())

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
        transport, self.transport = self.transport, _Departed()
        if lost:
            transport = self.transport
        transport.pause_reading()
        socket = BrowserSocket(transport, self.limits, self.wiring, self._early, self.connections)
        self._early = b""
        self.connections.discard(self)
        if lost:
            socket.connection_lost(None)
        else:
            transport.set_protocol(socket)
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


class _Departed(asyncio.Transport):
    """The transport that is left to ASGI's cycle, or that has been lost: nothing comes of it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Drop it."""

    def close(self) -> None:
        """Leave the connection to the lane."""

    def abort(self) -> None:
        """Leave the connection to the lane."""

    def is_closing(self) -> bool:
        """Say so."""
        return True

    def pause_reading(self) -> None:
        """Do nothing."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing."""

    def get_write_buffer_size(self) -> int:
        """Count nothing."""
        return 0


def _discreet() -> logging.Logger:
    """Give a logger that keeps uvicorn's warnings and drops its lines with the request's query.

    uvicorn logs `?ticket=…` at INFO, and websockets every header at DEBUG.
    """
    logger = logging.Logger("uvicorn.error", logging.WARNING)  # noqa: LOG001 - not to be shared
    logger.parent = logging.getLogger("uvicorn.error")
    return logger
