"""Plain ASGI on top of an upgraded socket, for handlers that do not take the upgrade."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from uvicorn.protocols.utils import ClientDisconnected

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

    from app.websocket.connection import Connection
    from app.websocket.interface import CloseEvent


class PlainAsgi:
    """The receive and send of one ASGI WebSocket; the bounds are the server's."""

    def __init__(self, socket: Connection) -> None:
        self._socket = socket
        self._arrived: deque[ASGIReceiveEvent] = deque()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = False
        socket.on_binary = self._binary_received
        socket.open(self)

    async def receive(self) -> ASGIReceiveEvent:
        """Give the next message; the last one, the disconnect, as often as it is asked for."""
        while not self._arrived:
            self._news.clear()
            self._socket.resume_reading()
            await self._news.wait()
        if self._closed and len(self._arrived) == 1:
            return self._arrived[0]
        return self._arrived.popleft()

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message or a close, once the peer reads."""
        await self._writable.wait()
        if self._closed:
            raise ClientDisconnected
        if message["type"] == "websocket.close":
            self._socket.close(message.get("code") or 1000, message.get("reason") or "")
        elif message["type"] != "websocket.send":
            raise RuntimeError(f"cannot send {message['type']!r} on an accepted WebSocket")
        elif (text := message.get("text")) is not None:
            self._socket.send_text(text.encode())
        else:
            self._socket.send_binary(message.get("bytes") or b"")

    def app_returned(self) -> None:
        """Close what the application left open."""
        self._socket.close(1000)

    def text_received(self, payload: bytes) -> None:
        """Queue it, and read no more until it has been taken."""
        self._put({"type": "websocket.receive", "text": payload.decode()})
        self._socket.pause_reading()

    def binary_received(self, size: int) -> None:
        """Do nothing: the payload comes another way."""

    def read_complete(self) -> None:
        """Do nothing: every message was queued on its own."""

    def pause_writing(self) -> None:
        """Let `send` wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `send` go on."""
        self._writable.set()

    def protocol_error(self, code: int) -> None:
        """Plain ASGI has no word for this: the disconnect that follows has the code."""

    def connection_lost(self, closed: CloseEvent) -> None:
        """Queue the disconnect, and wake everyone."""
        self._closed = True
        self._put(
            {"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason or None}
        )
        self._writable.set()

    def _binary_received(self, payload: bytes) -> None:
        self._put({"type": "websocket.receive", "bytes": payload})
        self._socket.pause_reading()

    def _put(self, message: ASGIReceiveEvent) -> None:
        self._arrived.append(message)
        self._news.set()
