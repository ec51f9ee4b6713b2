"""A browser's socket in memory, and an owner that writes down what it hears."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from app.websocket.interface import ABNORMAL, NULL_HANDLER, CloseEvent, Socket, SocketHandler

if TYPE_CHECKING:
    from app.protocol.close_codes import CloseReason

HIGH = 64 * 1024


class Browser(Socket):
    """One open socket: the test speaks for the browser, and decides when it reads."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.heard: list[bytes] = []
        self.closed_with: tuple[int, str] | None = None
        self.reason: CloseReason | None = None
        self.paused = False
        self.most_waiting = 0
        self._waiting = 0
        self._unread: deque[bytes] = deque()
        self._held: deque[bytes] = deque()
        self._receiver: SocketHandler | None = None
        self._choked = False
        self._ended: CloseEvent | None = None

    @property
    def write_buffer_size(self) -> int:
        return self._waiting

    @property
    def receiver(self) -> SocketHandler | None:
        """Who takes what the browser sends."""
        return self._receiver

    @property
    def unsent(self) -> int:
        """Messages of the browser that the gateway has not read."""
        return len(self._held)

    @property
    def lost(self) -> bool:
        return self._ended is not None

    def speak(self, *payloads: bytes) -> None:
        """The browser sends; the gateway gets it when it reads."""
        self._held.extend(payloads)
        self._pump()

    def read(self) -> None:
        """The browser reads all there is."""
        self.heard += self._unread
        self._unread.clear()
        self._waiting = 0
        if self._choked and self._receiver is not None:
            self._choked = False
            self._receiver.resume_writing()

    def leave(self, code: int = 1000, reason: str = "bye") -> None:
        """The browser closes."""
        self._lose(CloseEvent(code, reason))

    def fail(self, code: int) -> None:
        """The socket fails, because the browser broke the protocol."""
        if self._receiver is not None:
            self._receiver.protocol_error(code)
        self._lose(CloseEvent(code, by_peer=False))

    def open(self, handler: SocketHandler) -> None:
        self._receiver = handler
        self._pump()
        if self._ended is not None:
            asyncio.get_running_loop().call_soon(handler.connection_lost, self._ended)

    def detach(self) -> None:
        self._receiver = NULL_HANDLER

    def send_text(self, payload: bytes) -> None:
        if self.lost or self.closed_with is not None:
            return
        self._unread.append(payload)
        self._waiting += len(payload)
        if self.reads:
            self.read()
            return
        self.most_waiting = max(self.most_waiting, self.write_buffer_size)
        if not self._choked and self.write_buffer_size > HIGH and self._receiver is not None:
            self._choked = True
            self._receiver.pause_writing()

    def flush(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        asyncio.get_running_loop().call_soon(self._pump)

    def close(self, code: int, reason: str = "") -> None:
        if self.closed_with is None and not self.lost:
            self.closed_with = (code, reason)
            closed = CloseEvent(code, reason, by_peer=False)
            asyncio.get_running_loop().call_soon(self._lose, closed)

    def abort(self) -> None:
        asyncio.get_running_loop().call_soon(self._lose, CloseEvent(ABNORMAL, by_peer=False))

    def _pump(self) -> None:
        handler = self._receiver
        if handler is None:
            return
        while self._held and not self.paused and not self.lost:
            handler.text_received(self._held.popleft())
        handler.read_complete()

    def _lose(self, closed: CloseEvent) -> None:
        if not self.lost:
            self._ended = closed
            if self._receiver is not None:
                self._receiver.connection_lost(closed)


class Owner(SocketHandler):
    """What the relay would be: hears frames, and how the socket ends."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.heard: list[bytes] = []
        self.binary: list[int] = []
        self.batches = 0
        self.choked = False
        self.closed: CloseEvent | None = None
        socket.open(self)

    def text_received(self, payload: bytes) -> None:
        assert self.closed is None
        self.heard.append(payload)

    def binary_received(self, size: int) -> None:
        self.binary.append(size)

    def read_complete(self) -> None:
        self.batches += 1

    def pause_writing(self) -> None:
        assert not self.choked
        self.choked = True

    def resume_writing(self) -> None:
        assert self.choked
        self.choked = False

    def protocol_error(self, code: int) -> None:
        raise AssertionError(f"a bridge cannot break framing: {code}")

    def connection_lost(self, closed: CloseEvent) -> None:
        assert self.closed is None, "lost twice"
        self.closed = closed
