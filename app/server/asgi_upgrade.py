"""The socket interface over plain ASGI, for servers without the native upgrade."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from starlette.websockets import WebSocketDisconnect

from app.websocket.frames import TOO_LARGE
from app.websocket.interface import ABNORMAL, NULL_HANDLER, CloseEvent

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from app.websocket.interface import SocketHandler
    from app.websocket.limits import WireLimits


class AsgiSocket:
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
    def write_buffer_size(self) -> int:
        """Bytes that the ASGI server has not yet taken."""
        return self._waiting

    def open(self, handler: SocketHandler) -> None:
        """Name the owner and start delivering, once `run` is awaited."""
        self._handler = handler
        if self._closed is not None:
            asyncio.get_running_loop().call_soon(self._report_closed, self._closed)
            return
        if self._paused_writing:
            handler.pause_writing()
        self._may_read.set()

    def detach(self) -> None:
        """Forget the owner: nothing more is delivered to it."""
        self._handler = NULL_HANDLER

    def send_text(self, payload: bytes) -> None:
        """Queue one text message for the writer."""
        if self._closing is not None or self._closed is not None:
            return
        self._outbox.append(payload)
        self._waiting += len(payload)
        self._something_to_send.set()
        if self._waiting > self._limits.high_water and not self._paused_writing:
            self._paused_writing = True
            self._handler.pause_writing()

    def flush(self) -> None:
        """Nothing to do: the writer is never corked."""

    def pause_reading(self) -> None:
        """Ask the ASGI server for no more messages; it stops reading in its turn."""
        if self._closing is None:
            self._may_read.clear()

    def resume_reading(self) -> None:
        """Ask for messages again."""
        self._may_read.set()

    def close(self, code: int, reason: str = "") -> None:
        """Let the writer send what waits and close."""
        if self._closing is None and self._closed is None:
            self._closing = (code, reason)
            self._something_to_send.set()
            self._may_read.set()

    def abort(self) -> None:
        """Stop pumping; ASGI knows no harder end."""
        self._end(CloseEvent(ABNORMAL, by_peer=False))

    async def run(self) -> None:
        """Pump until either side has ended it."""
        async with asyncio.TaskGroup() as tasks:
            pumps = (tasks.create_task(self._read()), tasks.create_task(self._write()))
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
