"""`Upgrade` and `Socket` over ASGI, for servers without the native upgrade."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from typing_extensions import override

from app.server.interface import Endpoint, Upgrade, UpgradeGone, UpgradeRequest, UpgradeState
from app.websocket.frames import TOO_LARGE
from app.websocket.interface import ABNORMAL, NULL_HANDLER, CloseEvent, Socket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.websocket.interface import SocketHandler
    from app.websocket.limits import WireLimits

_DENIAL = "websocket.http.response"


class UpgradeMiddleware:
    """Runs an endpoint for each WebSocket; all else goes to the application within."""

    def __init__(self, app: ASGIApp, endpoint: Endpoint, limits: WireLimits) -> None:
        self._app = app
        self._endpoint = endpoint
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an ASGI scope; a WebSocket's until it is closed, whatever the endpoint does."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        upgrade = AsgiUpgrade(WebSocket(scope, receive, send), self._limits)
        try:
            await upgrade.run(self._endpoint)
        except UpgradeGone:
            return


class AsgiUpgrade(Upgrade):
    """An `Upgrade` that is one ASGI WebSocket. The handshake is the ASGI server's to validate."""

    def __init__(self, websocket: WebSocket, limits: WireLimits) -> None:
        scope = websocket.scope
        root = scope.get("root_path", "")
        if not scope["path"].startswith(f"{root}/"):  # not every server puts it there
            root = ""
        self._websocket = websocket
        self._limits = limits
        self._pump: asyncio.Task[None] | None = None
        self.state = UpgradeState.PENDING
        self.request = UpgradeRequest(
            headers=scope["headers"],
            path=scope["path"].removeprefix(root),
            query=scope.get("query_string", b""),
            client=scope["client"][0] if scope.get("client") else "",
            scheme="https" if scope.get("scheme") == "wss" else "http",
            root_path=root,
        )

    async def run(self, endpoint: Endpoint) -> None:
        """Run the endpoint, and then the socket to its end.

        ASGI's server answers an endpoint that raises or does not answer.
        """
        try:
            await endpoint(self)
            if self._pump is not None:
                await self._pump
        finally:
            if self._pump is not None:
                self._pump.cancel()

    @override
    async def accept(self, subprotocol: str | None = None) -> AsgiSocket:
        self._answer(UpgradeState.ACCEPTED)
        try:
            await self._websocket.accept(subprotocol)
        except (WebSocketDisconnect, RuntimeError, OSError):
            self.state = UpgradeState.GONE
            raise UpgradeGone("the browser has gone") from None
        socket = AsgiSocket(self._websocket, self._limits)
        self._pump = asyncio.create_task(socket.run(), name="asgi_socket")
        return socket

    @override
    async def reject(
        self, status: int, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> None:
        """Answer by HTTP; a server without that extension of ASGI answers 403."""
        self._answer(UpgradeState.REJECTED)
        try:
            if _DENIAL in self._websocket.scope.get("extensions", {}):
                given = list(headers)
                names = {name.lower() for name, _ in given}
                response = Response(body, status)
                usual = (line for line in response.raw_headers if line[0] not in names)
                response.raw_headers = [*given, *usual]
                await self._websocket.send_denial_response(response)
            else:
                await self._websocket.close()
        except (WebSocketDisconnect, OSError):
            self.state = UpgradeState.GONE

    def _answer(self, state: UpgradeState) -> None:
        if self.state is not UpgradeState.PENDING:
            raise RuntimeError("this handshake has its answer")
        self.state = state


class AsgiSocket(Socket):
    """A `Socket` that pumps ASGI messages while `run` is awaited.

    Framing, pings and the closing handshake are the ASGI server's. The message bound is kept
    here, after the server has read the message: its own bound should be as small.
    """

    def __init__(self, websocket: WebSocket, limits: WireLimits) -> None:
        self._websocket = websocket
        self._limits = limits
        self._handler: SocketHandler = NULL_HANDLER
        self._outbox: deque[bytes] = deque()
        self._waiting = 0
        self._paused_writing = False
        self._something_to_send = asyncio.Event()
        self._may_read = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._closed: CloseEvent | None = None
        self._over = asyncio.Event()

    @property
    @override
    def write_buffer_size(self) -> int:
        """Bytes that the ASGI server has not yet taken."""
        return self._waiting

    @override
    def open(self, handler: SocketHandler) -> None:
        self._handler = handler
        if self._closed is not None:
            asyncio.get_running_loop().call_soon(self._report_closed, self._closed)
            return
        if self._paused_writing:
            handler.pause_writing()
        self._may_read.set()

    @override
    def detach(self) -> None:
        self._handler = NULL_HANDLER

    @override
    def send_text(self, payload: bytes) -> None:
        if self._closing is not None or self._closed is not None:
            return
        self._outbox.append(payload)
        self._waiting += len(payload)
        self._something_to_send.set()
        if self._waiting > self._limits.high_water and not self._paused_writing:
            self._paused_writing = True
            self._handler.pause_writing()

    @override
    def flush(self) -> None:
        """Nothing to do: the writer is never corked."""

    @override
    def pause_reading(self) -> None:
        """Ask the ASGI server for no more messages; it stops reading in its turn."""
        if self._closing is None:
            self._may_read.clear()

    @override
    def resume_reading(self) -> None:
        self._may_read.set()

    @override
    def close(self, code: int, reason: str = "") -> None:
        if self._closing is None and self._closed is None:
            self._closing = (code, reason)
            self._something_to_send.set()
            self._may_read.set()

    @override
    def abort(self) -> None:
        """Stop pumping; ASGI knows no harder end."""
        self._end(CloseEvent(ABNORMAL, by_peer=False))

    async def run(self) -> None:
        """Pump until either side has ended it."""
        async with asyncio.TaskGroup() as tasks:
            pumps = (
                tasks.create_task(self._read(), name="asgi_socket:read"),
                tasks.create_task(self._write(), name="asgi_socket:write"),
            )
            try:
                await self._over.wait()
            finally:
                for pump in pumps:
                    pump.cancel()
                self._end(CloseEvent(ABNORMAL, by_peer=False))

    async def _read(self) -> None:
        while True:
            await self._may_read.wait()
            try:
                message = await self._websocket.receive()
            except (WebSocketDisconnect, RuntimeError):
                self._end(CloseEvent())
                return
            if message["type"] == "websocket.disconnect":
                code = message.get("code") or ABNORMAL
                reason = message.get("reason") or ""
                self._end(CloseEvent(code, reason, by_peer=self._closing is None))
                return
            self._deliver(message.get("text"), message.get("bytes"))

    def _deliver(self, text: str | None, binary: bytes | None) -> None:
        if self._closing is not None:
            return
        payload = text.encode(errors="surrogatepass") if text is not None else binary or b""
        if len(payload) > self._limits.max_message:
            self._handler.protocol_error(TOO_LARGE)
            self.close(TOO_LARGE)
            return
        if text is None:
            self._handler.binary_received(len(payload))
        else:
            self._handler.text_received(payload)
        self._handler.read_complete()

    async def _write(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            try:
                await self._send_all()
            except (WebSocketDisconnect, RuntimeError, OSError):
                self._end(CloseEvent())
                return

    async def _send_all(self) -> None:
        while self._outbox:
            payload = self._outbox.popleft()
            await self._websocket.send_text(payload.decode())
            self._waiting -= len(payload)
            if self._paused_writing and self._waiting <= self._limits.low_water:
                self._paused_writing = False
                self._handler.resume_writing()
        if self._closing is not None:
            code, reason = self._closing
            await self._websocket.close(code, reason)
            # ASGI promises no word about the peer's answer: this is as closed as it gets.
            self._end(CloseEvent(code, by_peer=False))

    def _end(self, closed: CloseEvent) -> None:
        if self._closed is None:
            self._closed = closed
            self._report_closed(closed)
            self._over.set()

    def _report_closed(self, closed: CloseEvent) -> None:
        owner, self._handler = self._handler, NULL_HANDLER
        owner.connection_lost(closed)
