"""The vendor's leg: one socket for the whole conversation.

`text_received` is the hot path: no call that need not be, one look at the clock per read.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from app.history.port import Direction
from app.protocol.actions import FORWARD

if TYPE_CHECKING:
    from app.relay.relay import Relay
    from app.wire.socket import Closed, Socket


class UpstreamEnd:
    """The vendor's socket; it receives for its relay."""

    __slots__ = (
        "_arrived",
        "_at",
        "_browser",
        "_count",
        "_gone",
        "_paused",
        "_relay",
        "_session",
        "_socket",
        "slow",
    )

    def __init__(self, relay: Relay) -> None:
        self.slow = False
        self._relay = relay
        self._session = relay.session
        self._browser = relay.browser
        self._socket: Socket | None = None
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived = 0.0
        self._at = 0.0
        self._count = 0
        self._paused = False

    def attach(self, socket: Socket) -> None:
        """Take the socket that was dialled; nothing is heard of it before `listen`."""
        self._socket = socket

    def listen(self) -> None:
        """Hear what the vendor has said and will say."""
        if self._socket is not None:
            self._socket.open(self)

    def send(self, payload: bytes) -> None:
        """Send one text frame."""
        if self._socket is not None:
            self._socket.send_text(payload)

    def read(self, reading: bool) -> None:
        """Read the vendor, or let TCP slow it down."""
        if self._socket is None or self._paused is not reading:
            return
        self._paused = not reading
        if reading:
            self._socket.resume_reading()
        else:
            self._socket.pause_reading()

    async def hang_up(self, grace: float) -> None:
        """Give the vendor `grace` seconds to close by itself, then close, then drop."""
        if self._socket is None:
            return
        self.read(True)
        if not await self._left(grace):
            self._socket.close(1000)
            if not await self._left(grace):
                self._socket.abort()

    async def _left(self, grace: float) -> bool:
        done, _ = await asyncio.wait((self._gone,), timeout=grace)
        return bool(done)

    # What the wire tells

    def text_received(self, payload: bytes) -> None:
        """Judge a frame, and do what that leads to; what goes wrong is this session's trouble."""
        relay = self._relay
        if not self._count:
            self._arrived = arrived = monotonic()
            self._at = relay.epoch + arrived
        self._count += 1
        try:
            actions = self._session.from_upstream(payload, self._at)
            if actions is FORWARD:
                self._browser.send(payload)
            else:
                relay.carry_out(actions, payload)
            if relay.listening:
                relay.books.frame(Direction.FROM_UPSTREAM, self._at, payload)
        except Exception:  # noqa: BLE001 - the outermost door of what a frame sets off
            relay.crashed()

    def binary_received(self, size: int) -> None:  # noqa: ARG002 - how large it was is no matter
        """Pass on that a binary message came."""
        self._relay.binary_from_upstream()

    def batch_received(self) -> None:
        """Pass on that one read has been delivered."""
        if self._count:
            self._relay.heard_upstream(self._arrived, self._count)
            self._count = 0

    def writing_paused(self) -> None:
        """Pass on that the vendor reads slowly."""
        self.slow = True
        self._relay.upstream_slow()

    def writing_resumed(self) -> None:
        """Pass on that the vendor caught up."""
        self.slow = False
        self._relay.upstream_caught_up()

    def failing(self, code: int) -> None:
        """Nothing is left to say to a vendor that breaks the protocol."""

    def connection_lost(self, closed: Closed) -> None:
        """Pass on that the vendor is gone, once what it said last has been looked at."""
        self.batch_received()
        if not self._gone.done():
            self._gone.set_result(None)
        self._relay.upstream_left(closed)
