"""The ASGI cycle of one WebSocket handshake, which ends in an upgrade.

Written for uvicorn 0.54, whose own takes a fifth of a session's set-up for a data phase that is
not used here.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import unquote

from uvicorn.protocols.utils import ClientDisconnected
from websockets.datastructures import Headers
from websockets.http11 import Response

from app.server.detached_transport import DetachedTransport
from app.server.handshake import QUIET_LOGGER, accepted, rejected
from app.server.interface import EXTENSION
from app.server.plain_asgi import PlainAsgi
from app.websocket.frames import CLOSE, close_payload, header
from app.websocket.server_connection import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, WebSocketScope
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from app.websocket.io_batcher import IoBatcher
    from app.websocket.limits import WireLimits

SERVICE_RESTART = 1012


class UpgradeProtocol(asyncio.Protocol):
    """Asks the application whether to open a WebSocket; nothing of the data phase is its own.

    Nothing of that is read before it is known who takes it. That is a caller of `take`, or the
    first ASGI message after the accept: then the same connection carries ASGI. `http` is what
    read the request, and `accept` the answer to its key.
    """

    limits: ClassVar[WireLimits]
    batcher: ClassVar[IoBatcher]

    _early = b""
    _connect_sent = False
    _accepted = False
    _denied = False
    _taken_over = False
    _lost = False
    _plain: PlainAsgi | None = None
    _disconnected: asyncio.Future[None] | None = None
    _denial: tuple[int, tuple[tuple[bytes, bytes], ...]] | None = None
    _body = b""

    def __init__(self, http: HttpToolsProtocol, accept: str) -> None:
        self._app = http.app
        self._loop = http.loop
        self._accept = accept
        self._transport: asyncio.Transport = http.transport
        self._tasks = http.tasks
        connections: set[Any] = http.connections
        self._connections = connections
        self._default_headers = http.server_state.default_headers
        connections.add(self)
        self._scope = _scope(http)

    def begin(self) -> None:
        """Call the application, to which the upgrade is offered."""
        extensions: dict[str, object] = self._scope["extensions"]  # type: ignore[assignment]
        extensions[EXTENSION] = _Upgrade(self)
        task = self._loop.create_task(self._run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The transport's calls, and the server's

    def data_received(self, data: bytes) -> None:
        """Keep what comes behind the handshake, and read no further."""
        if not self._denied:
            self._early += data
            self._transport.pause_reading()

    def eof_received(self) -> bool | None:
        """Let the transport close itself."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Wake `receive`: the peer has disconnected."""
        self._lost = True
        self._connections.discard(self)
        if self._disconnected is not None and not self._disconnected.done():
            self._disconnected.set_result(None)

    def shutdown(self) -> None:
        """Close: the server stops."""
        if self._may_carry():
            told = close_payload(SERVICE_RESTART)
            self._transport.write(header(CLOSE, len(told)) + told)
        else:
            self._fail()
        self._transport.close()

    # ASGI

    async def receive(self) -> ASGIReceiveEvent:
        """Receive by plain ASGI, for a handler that did not take the upgrade."""
        if not self._connect_sent:
            self._connect_sent = True
            return {"type": "websocket.connect"}
        if self._plain is not None or self._may_carry():
            return await self._carry_plain_asgi().receive()
        if not self._lost and not self._denied:
            if self._disconnected is None:
                self._disconnected = self._loop.create_future()
            await asyncio.wait((self._disconnected,))  # more than one may wait
        return {"type": "websocket.disconnect", "code": 1005 if self._accepted else 1006}

    async def send(self, message: ASGISendEvent) -> None:
        """Answer the handshake, or send by plain ASGI."""
        if self._plain is not None or self._may_carry():
            await self._carry_plain_asgi().send(message)
            return
        if self._lost:
            raise ClientDisconnected
        if self._accepted or self._denied:
            raise RuntimeError(f"unexpected ASGI message {message['type']!r}")
        if self._denial is not None:
            if message["type"] != "websocket.http.response.body":
                raise RuntimeError(f"unexpected ASGI message {message['type']!r}")
            self._body += message["body"]
            if not message.get("more_body", False):
                self._deny(_denial(*self._denial, self._body))
        elif message["type"] == "websocket.accept":
            self.accept(message.get("subprotocol"), message.get("headers") or ())
        elif message["type"] == "websocket.close":
            self._deny(rejected(HTTPStatus.FORBIDDEN))
        elif message["type"] == "websocket.http.response.start":
            self._denial = (message["status"], tuple(message.get("headers") or ()))
        else:
            raise RuntimeError(f"unexpected ASGI message {message['type']!r}")

    # The upgrade

    def accept(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Open the WebSocket. Raises `ClientDisconnected`, an OSError."""
        if self._accepted or self._denied:
            raise RuntimeError("this handshake has its answer")
        if self._lost or self._transport.is_closing():
            raise ClientDisconnected
        lines = (*self._default_headers, *headers)
        self._transport.write(accepted(self._accept, lines, subprotocol))
        self._accepted = True

    def take_over(self) -> ServerConnection:
        """Detach the connection from ASGI, and from this object, which may then go."""
        if not self._may_carry():
            raise RuntimeError("only an accepted WebSocket can be taken, once")
        self._taken_over = True
        transport, self._transport = self._transport, DetachedTransport()
        if self._lost:
            transport = self._transport
        transport.pause_reading()
        socket = ServerConnection(
            transport, self.limits, self.batcher, self._early, self._connections
        )
        self._early = b""
        self._connections.discard(self)
        if self._lost:
            socket.connection_lost(None)
        else:
            transport.set_protocol(cast("asyncio.Protocol", socket))
        return socket

    # The rest

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except BaseException:  # noqa: BLE001 - the outermost handler, for cancellation too
            QUIET_LOGGER.exception("Exception in ASGI application\n")
            self._fail()
        else:
            if not (self._accepted or self._denied or self._lost):
                QUIET_LOGGER.error("ASGI callable returned without completing handshake.")
                self._fail()
        if self._plain is not None:
            self._plain.app_returned()
        self._transport.close()

    def _may_carry(self) -> bool:
        """Whether the WebSocket is open and still this object's."""
        return self._accepted and not self._taken_over

    def _carry_plain_asgi(self) -> PlainAsgi:
        if self._plain is None:
            self._plain = PlainAsgi(self.take_over())
        return self._plain

    def _deny(self, response: Response) -> None:
        self._denied = True
        self._transport.write(response.serialize())
        self._transport.close()

    def _fail(self) -> None:
        if not (self._accepted or self._denied or self._lost or self._denial is not None):
            self._deny(rejected(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error"))


class _Upgrade:
    """The upgrade of one connection, good for one use."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: UpgradeProtocol) -> None:
        self._protocol: UpgradeProtocol | None = protocol

    def accept(self, subprotocol: str | None) -> ServerConnection:
        if self._protocol is None:
            raise RuntimeError("this WebSocket has been taken")
        self._protocol.accept(subprotocol)
        return self.take_over()

    def take_over(self) -> ServerConnection:
        if self._protocol is None:
            raise RuntimeError("this WebSocket has been taken")
        socket = self._protocol.take_over()
        self._protocol = None
        return socket


def _scope(http: HttpToolsProtocol) -> WebSocketScope:
    """Make the scope that uvicorn would make."""
    raw_path, _, query = http.url.partition(b"?")
    subprotocols: list[str] = []
    for name, value in http.headers:
        if name == b"sec-websocket-protocol":
            subprotocols += [token.strip() for token in value.decode("latin-1").split(",")]
    return {
        "type": "websocket",
        "asgi": {"version": http.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if http.scheme == "https" else "ws",
        "server": http.server,
        "client": http.client,
        "root_path": http.root_path,
        "path": http.root_path + unquote(raw_path.decode("ascii")),
        "raw_path": http.root_path.encode("ascii") + raw_path,
        "query_string": query,
        "headers": http.headers,
        "subprotocols": subprotocols,
        "state": http.app_state.copy(),
        "extensions": {"websocket.http.response": {}},
    }


def _denial(status: int, lines: Iterable[tuple[bytes, bytes]], body: bytes) -> Response:
    """Make the answer that an application gives instead of opening a WebSocket."""
    headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in lines])
    headers.setdefault("Date", formatdate(usegmt=True))
    headers.setdefault("Connection", "close")
    headers.setdefault("Content-Length", str(len(body)))
    headers.setdefault("Content-Type", "text/plain; charset=utf-8")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return Response(status, phrase, headers, body)
