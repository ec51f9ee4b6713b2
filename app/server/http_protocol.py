"""uvicorn's HTTP protocol, bounded in time and size, with the native upgrade (uvicorn 0.54).

`make_protocol` gives the class for `uvicorn.Config(http=…, ws="none")`. uvicorn keeps the
listening, the HTTP parsing and HTTP's ASGI cycle; a request for a WebSocket becomes an `Upgrade`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import is_ssl

from app.server.handshake import judge, wants_websocket
from app.server.request_head import (
    MalformedHead,
    body_length,
    check_head,
    check_request_line,
    rebuilt,
)
from app.server.response import problem
from app.server.segments import Segments
from app.server.upgrade import NativeUpgrade
from app.websocket.io_batcher import IoBatcher
from app.websocket.timer_wheel import NEVER

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine
    from typing import Any

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from app.server.interface import Endpoint, Upgrade
    from app.websocket.limits import WireLimits


_TOO_LARGE: Final = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
_FRAGMENTED: Final = "The chunked body is too fragmented."
_UNREADABLE: Final = "The request cannot be read as HTTP/1.1 (RFC 9112)."


def make_protocol(
    endpoint: Endpoint, limits: WireLimits, batcher: IoBatcher | None = None
) -> type[UpgradeHttpProtocol]:
    """Make the protocol class of one server, bound to its limits and its WebSocket endpoint."""
    bound = {
        "endpoint": staticmethod(endpoint),
        "limits": limits,
        "batcher": batcher or IoBatcher(),
    }
    return type("HttpProtocol", (UpgradeHttpProtocol,), bound)


class UpgradeHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP with a time-out and a bound for a request's arrival: it has neither.

    The time-out spans the whole request, its body too, so that neither can be sent for ever.
    Nothing is read behind a request whose end is in doubt: it is refused, and the connection is
    closed (RFC 9112 §11.2). A refusal never takes the place of an earlier request's answer.
    """

    limits: ClassVar[WireLimits]
    batcher: ClassVar[IoBatcher]
    endpoint: ClassVar[staticmethod[[Upgrade], Coroutine[Any, Any, None]]]

    _slot = NEVER
    # Between a request's head and its end.
    _in_body = False
    # Nothing more is read: what came could not be told apart into requests.
    _ended = False
    _discarded = 0
    _malformed: MalformedHead | None = None
    _earlier: RequestResponseCycle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the first request's time-out; uvicorn's own makes five system calls here."""
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server = _address(transport, "sockname")
        self.client = _address(transport, "peername")
        self.scheme = "https" if is_ssl(transport) else "http"
        self._segments = Segments()
        self._start_clock()

    @override
    def data_received(self, data: bytes) -> None:
        """Parse, unless the head has grown past its bound."""
        if self._ended:
            self._discarded += len(data)
            if self._discarded > self.limits.max_discarded:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        at = 0
        while at < len(data) and not self._ended:
            end = self._segments.cut(data, at)
            piece, at = data[at:end], end
            if len(self._segments.head) > self.limits.max_request_head:
                self._refuse(MalformedHead(_TOO_LARGE, "The head is longer than is read here."))
            elif self._segments.too_many:
                self._refuse(MalformedHead(HTTPStatus.BAD_REQUEST, _FRAGMENTED))
            elif self._parse(piece):
                self._upgrade(data[at:])
                return

    def _parse(self, piece: bytes) -> bool:
        """Parse; return whether it ends a head that asks for a WebSocket."""
        try:
            self.parser.feed_data(piece)
        except HttpParserUpgrade:
            if wants_websocket(self.headers):
                return True
            self._ignore_upgrade()
        except HttpParserError:
            self._refuse_unreadable()
        return False

    def _ignore_upgrade(self) -> None:
        """Read the head again, without its `Upgrade`.

        A server ignores an upgrade that it does not want, and the body belongs to the request (RFC
        9110 §7.8). llhttp cannot be told so: it takes what follows for another protocol, or, if it
        is asked again, for the next request.
        """
        head = rebuilt(self.scope["method"], self.scope["http_version"], self.url, self.headers)
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        try:
            self.parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade):  # CONNECT is an upgrade without the header
            self._refuse_unreadable()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    @override
    def on_message_begin(self) -> None:
        """Start the clock of this request, if it is not the connection's first."""
        super().on_message_begin()
        self._in_body = False
        if self._slot == NEVER:
            self._start_clock()

    @override
    def on_headers_complete(self) -> None:
        """Validate the head; raises `MalformedHead` where the request's end is in doubt."""
        method = self.parser.get_method().decode("ascii")
        version = self.parser.get_http_version()
        self.scope["method"] = method
        self.scope["http_version"] = version
        try:
            check_request_line(self._segments.head)
            if self.parser.should_upgrade() and method != "CONNECT":
                return  # a WebSocket, or `_ignore_upgrade` leads back here
            self.url = check_head(method, version, self.url, self.headers)
        except MalformedHead as malformed:
            self._malformed = malformed
            raise
        self._earlier = self.cycle
        super().on_headers_complete()
        self._in_body = True
        self._segments.head_is_over(body_length(self.headers))
        if self.expect_100_continue:
            # Whether its body comes after an early answer cannot be known (RFC 9110 §10.1.1).
            self.cycle.keep_alive = False

    @override
    def on_body(self, body: bytes) -> None:
        """Hand the body on; what llhttp takes for an upgrade's is dropped."""
        if self._in_body:
            super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        """Stop the clock: the request is here."""
        if not self._in_body:
            return  # llhttp ends an upgrade's message with its head
        self._in_body = False
        self._segments.request_is_over()
        self._stop_clock()
        super().on_message_complete()

    def _upgrade(self, early: bytes) -> None:
        """Hand over to an `Upgrade`, and let go of what this one holds.

        uvicorn would have `websockets` parse the request again, which takes a tenth of a
        session's set-up, and hangs on what only one of the two parsers takes for a request.
        """
        self._stop_clock()
        if self._pending() is not None:  # its answer would come among the frames
            self._refuse(MalformedHead(HTTPStatus.BAD_REQUEST, _UNREADABLE))
            return
        method, version = self.scope["method"], self.scope["http_version"]
        try:
            self.url = check_head(method, version, self.url, self.headers)
            accept = judge(method, version, self.headers)
        except MalformedHead as malformed:
            self._refuse(malformed)
            return
        # Its callbacks make a cycle, which would wait for the collector.
        self.parser = None  # type: ignore[assignment]
        self.connections.discard(self)
        upgrade = NativeUpgrade(self, accept, self.limits, self.batcher)
        self.transport.set_protocol(upgrade)
        task = self.loop.create_task(upgrade.run(self.endpoint), name="upgrade")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if early:
            upgrade.data_received(early)

    def _refuse_unreadable(self) -> None:
        self._refuse(self._malformed or MalformedHead(HTTPStatus.BAD_REQUEST, _UNREADABLE))

    def _refuse(self, malformed: MalformedHead) -> None:
        """Answer what cannot be read or is too long, and close; read nothing more.

        Where earlier requests still wait for their answers, those are given, and then it closes.
        """
        self._ended = True
        self._stop_clock()
        self.batcher.report(
            "browser", "bad_request", malformed.status, self.loop.time(), malformed.facts
        )
        earlier = self._pending()
        if self._in_body:
            self._drop_current()
            if self.cycle.response_started and earlier is None:
                self.transport.close()
                return
        if earlier is not None:
            earlier.keep_alive = False
            return
        self.transport.write(problem(malformed.status, malformed.detail, malformed.lines))
        self._linger()

    def _linger(self) -> None:
        """Close in stages (RFC 9112 §9.6): a reset could overtake the answer."""
        if not self.transport.can_write_eof():  # TLS
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._start_clock()

    def _drop_current(self) -> None:
        """Let the request whose body is malformed have no answer of the application's."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()

    def _pending(self) -> RequestResponseCycle | None:
        """Give the newest earlier request that has no complete answer yet."""
        cycle = self._earlier if self._in_body else self.cycle
        return None if cycle is None or cycle.response_complete else cycle

    def on_timeout(self) -> None:
        """Drop a request that took too long to arrive."""
        self._slot = NEVER
        if not self._ended:
            self.batcher.report("browser", "slow_request", 408, self.loop.time())
        self.transport.abort()

    def _start_clock(self) -> None:
        self._slot = self.batcher.timer_wheel.add(self, self.limits.handshake_timeout)

    def _stop_clock(self) -> None:
        if self._slot != NEVER:
            self.batcher.timer_wheel.remove(self, self._slot)
            self._slot = NEVER


def _address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    """Host and port, of IPv4 as of IPv6; None where there is no such thing."""
    known = transport.get_extra_info(name)
    return (str(known[0]), int(known[1])) if isinstance(known, tuple) else None
