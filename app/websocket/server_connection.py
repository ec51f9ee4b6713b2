"""The server side of a WebSocket connection (RFC 6455): a browser's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.websocket.connection import Connection
from app.websocket.frames import header
from app.websocket.transport import LARGE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import MutableSet
    from typing import Any

    from app.websocket.io_batcher import IoBatcher
    from app.websocket.limits import WireLimits


class ServerConnection(Connection):
    """A browser's connection: what comes is masked, what goes is not (RFC 6455 §5.1).

    `connections` is the server's set of what to wait for before it stops its loop.
    """

    is_server = True
    leg = "browser"

    __slots__ = ("_connections", "_pass_through")

    def __init__(
        self,
        transport: asyncio.Transport,
        limits: WireLimits,
        batcher: IoBatcher,
        early: bytes,
        connections: MutableSet[Any],
    ) -> None:
        super().__init__(transport, limits, batcher, early)
        self._connections = connections
        connections.add(self)
        self._pass_through = batcher.pass_through

    @property
    def write_buffer_size(self) -> int:
        """Bytes that wait to be written."""
        return self._unwritten() + self._pass_through.forwarded_size(self)

    def send_text(self, payload: bytes) -> None:
        """Send one text message; one that upstream sent as it came (see `PassThrough`)."""
        pass_through = self._pass_through
        if payload is not pass_through.payload:
            Connection.send_text(self, payload)
        elif not self._state:
            pass_through.forward(self)

    def write_forwarded(self, frames: bytes) -> None:
        """Send frames that upstream sent, as they came."""
        if not self._cork:
            self._batcher.schedule_flush(self)
        self._cork.append(frames)
        if len(frames) > LARGE:
            self.flush()  # a turn may bring many reads of one socket

    def flush(self) -> None:
        """Write what is corked."""
        self._end_forward()
        Connection.flush(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the server go."""
        super().connection_lost(exc)
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Do nothing when the server stops: closing is the owner's to decide (it drains)."""

    def _frame(self, opcode: int, payload: bytes) -> tuple[bytes, ...]:
        self._end_forward()  # which goes into the cork first
        return header(opcode, len(payload)), payload

    def _end_forward(self) -> None:
        pass_through = self._pass_through
        if pass_through.forwarded_size(self):
            pass_through.end_forward()
