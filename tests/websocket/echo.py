"""The upstream leg as an echo: what conformance suites talk to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.websocket.client_connection import ClientConnection
    from app.websocket.interface import CloseEvent


class Echo:
    """Answers every message with itself. `last` is the newest text, `ended` how it was closed."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.last = b""
        self.ended: asyncio.Future[CloseEvent] = asyncio.get_running_loop().create_future()
        socket.on_binary = socket.send_binary
        socket.open(self)

    def text_received(self, payload: bytes) -> None:
        self.last = payload
        self._socket.send_text(payload)

    def binary_received(self, size: int) -> None: ...

    def read_complete(self) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def protocol_error(self, code: int) -> None: ...

    def connection_lost(self, closed: CloseEvent) -> None:
        self.ended.set_result(closed)
