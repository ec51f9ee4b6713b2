"""A browser's socket in the lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.wire.channel import LARGE
from app.wire.connection import Connection
from app.wire.frames import header

if TYPE_CHECKING:
    import asyncio
    from collections.abc import MutableSet
    from typing import Any

    from app.wire.limits import WireLimits
    from app.wire.wiring import Wiring


class BrowserSocket(Connection):
    """A browser's connection: what comes is masked, what goes is not (RFC 6455 §5.1).

    `connections` is the server's set of what to wait for before it stops its loop.
    """

    is_server = True
    leg = "browser"

    __slots__ = ("_connections", "_origin")

    def __init__(
        self,
        transport: asyncio.Transport,
        limits: WireLimits,
        wiring: Wiring,
        early: bytes,
        connections: MutableSet[Any],
    ) -> None:
        super().__init__(transport, limits, wiring, early)
        self._connections = connections
        connections.add(self)
        self._origin = wiring.origin

    @property
    def waiting(self) -> int:
        """Bytes that wait to be written."""
        return self._unwritten() + self._origin.running(self)

    def send_text(self, payload: bytes) -> None:
        """Send one text message; one that upstream sent as it came (see `Origin`)."""
        origin = self._origin
        if payload is not origin.payload:
            Connection.send_text(self, payload)
        elif not self._state:
            origin.run_on(self)

    def cork_run(self, frames: bytes) -> None:
        """Send frames that upstream sent, as they came."""
        if not self._cork:
            self._wiring.cork(self)
        self._cork.append(frames)
        if len(frames) > LARGE:
            self.flush()  # a turn may bring many reads of one socket

    def flush(self) -> None:
        """Write what is corked."""
        self._end_run()
        Connection.flush(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let the server go."""
        super().connection_lost(exc)
        self._connections.discard(self)

    def shutdown(self) -> None:
        """Do nothing when the server stops: closing is the owner's to decide (it drains)."""

    async def run(self) -> None:
        """Return at once: this socket needs no task."""

    def _frame(self, opcode: int, payload: bytes) -> tuple[bytes, ...]:
        self._end_run()  # which goes into the cork first
        return header(opcode, len(payload)), payload

    def _end_run(self) -> None:
        origin = self._origin
        if origin.running(self):
            origin.end_run()
