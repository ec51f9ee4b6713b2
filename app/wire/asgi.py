"""The socket port over plain ASGI, for servers without the lane: one reader, one writer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from starlette.websockets import WebSocketDisconnect

from app.wire.frames import TOO_LARGE
from app.wire.nobody import NOBODY
from app.wire.socket import ABNORMAL, Closed

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from app.wire.limits import WireLimits
    from app.wire.socket import Receiver


class AsgiSocket:
    """A `Socket` that pumps ASGI messages while `run` is awaited.

    Framing, pings and the closing handshake are the ASGI server's. The message bound is kept
    here, after the server has read the message: its own bound should be as small.
    """

    def __init__(self, websocket: WebSocket, limits: WireLimits) -> None:
        self._websocket = websocket
        self._limits = limits
        self._owner: Receiver = NOBODY
        self._outbox: deque[bytes] = deque()
        self._waiting = 0
        self._paused_writing = False
        self._something_to_send = asyncio.Event()
        self._may_read = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._closed: Closed | None = None
        self._over = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Bytes that the ASGI server has not yet taken."""
        return self._waiting

    def open(self, receiver: Receiver) -> None:
        """Name the owner and start delivering, once `run` is awaited."""
        if self._closed is not None:
            asyncio.get_running_loop().call_soon(receiver.connection_lost, self._closed)
            return
        self._owner = receiver
        if self._paused_writing:
            receiver.writing_paused()
        self._may_read.set()

    def send_text(self, payload: bytes) -> None:
        """Queue one text message for the writer."""
        if self._closing is not None or self._closed is not None:
            return
        self._outbox.append(payload)
        self._waiting += len(payload)
        self._something_to_send.set()
        if self._waiting > self._limits.high_water and not self._paused_writing:
            self._paused_writing = True
            self._owner.writing_paused()

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
        self._end(Closed(ABNORMAL, by_peer=False))

    async def run(self) -> None:
        """Pump until either side has ended it."""
        async with asyncio.TaskGroup() as tasks:
            pumps = (tasks.create_task(self._read()), tasks.create_task(self._write()))
            try:
                await self._over.wait()
            finally:
                for pump in pumps:
                    pump.cancel()
                self._end(Closed(ABNORMAL, by_peer=False))

    async def _read(self) -> None:
        while True:
            await self._may_read.wait()
            try:
                message = await self._websocket.receive()
            except (WebSocketDisconnect, RuntimeError):
                self._end(Closed())
                return
            if message["type"] == "websocket.disconnect":
                code = message.get("code") or ABNORMAL
                reason = message.get("reason") or ""
                self._end(Closed(code, reason, by_peer=self._closing is None))
                return
            self._deliver(message.get("text"), message.get("bytes"))

    def _deliver(self, text: str | None, binary: bytes | None) -> None:
        if self._closing is not None:
            return
        payload = text.encode(errors="surrogatepass") if text is not None else binary or b""
        if len(payload) > self._limits.max_message:
            self._owner.failing(TOO_LARGE)
            self.close(TOO_LARGE)
            return
        if text is None:
            self._owner.binary_received(len(payload))
        else:
            self._owner.text_received(payload)
        self._owner.batch_received()

    async def _write(self) -> None:
        while True:
            await self._something_to_send.wait()
            self._something_to_send.clear()
            try:
                await self._send_all()
            except (WebSocketDisconnect, RuntimeError, OSError):
                self._end(Closed())
                return

    async def _send_all(self) -> None:
        while self._outbox:
            payload = self._outbox.popleft()
            await self._websocket.send_text(payload.decode())
            self._waiting -= len(payload)
            if self._paused_writing and self._waiting <= self._limits.low_water:
                self._paused_writing = False
                self._owner.writing_resumed()
        if self._closing is not None:
            code, reason = self._closing
            await self._websocket.close(code, reason)
            # ASGI promises no word about the peer's answer: this is as closed as it gets.
            self._end(Closed(code, by_peer=False))

    def _end(self, closed: Closed) -> None:
        if self._closed is None:
            self._closed = closed
            owner, self._owner = self._owner, NOBODY
            owner.connection_lost(closed)
            self._over.set()
