"""The vendor's leg: one socket for the whole conversation.

`text_received` is the hot path: no call that need not be, one look at the clock per read.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from app.history.interface import Direction
from app.protocol.actions import FORWARD, HELD, HELD_ECHO

if TYPE_CHECKING:
    from app.relay.interface import UpstreamLegEvents
    from app.websocket.interface import CloseEvent, Socket


class UpstreamLeg:
    """The vendor's socket; it receives for its relay."""

    __slots__ = (
        "_arrived",
        "_at",
        "_browser",
        "_count",
        "_disconnected",
        "_paused",
        "_relay",
        "_session",
        "_socket",
        "write_paused",
    )

    def __init__(self, relay: UpstreamLegEvents) -> None:
        self.write_paused = False
        self._relay = relay
        self._session = relay.session
        self._browser = relay.browser
        self._socket: Socket | None = None
        self._disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived = 0.0
        self._at = 0.0
        self._count = 0
        self._paused = False

    def attach(self, socket: Socket) -> None:
        """Take the socket that was dialled; nothing is heard of it before `listen`."""
        self._socket = socket

    def start_receiving(self) -> None:
        """Hear what the vendor has said and will say."""
        if self._socket is not None:
            self._socket.open(self)

    def send(self, payload: bytes) -> None:
        """Send one text frame."""
        if self._socket is not None:
            self._socket.send_text(payload)

    def set_reading(self, reading: bool) -> None:
        """Read the vendor, or let TCP slow it down."""
        if self._socket is None or self._paused is not reading:
            return
        self._paused = not reading
        if reading:
            self._socket.resume_reading()
        else:
            self._socket.pause_reading()

    async def close(self, grace: float) -> None:
        """Give the vendor `grace` seconds to close by itself, then close, then drop."""
        if self._socket is None:
            return
        self.set_reading(True)
        if not await self._wait_disconnected(grace):
            self._socket.close(1000)
            if not await self._wait_disconnected(grace):
                self._socket.abort()

    async def _wait_disconnected(self, grace: float) -> bool:
        done, _ = await asyncio.wait((self._disconnected,), timeout=grace)
        return bool(done)

    # Events of the sockets

    def text_received(self, payload: bytes) -> None:
        """Judge a frame, and do what that leads to; an exception ends this session alone."""
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
                relay.apply(actions, payload)
            if relay.is_observed:
                if actions is HELD:
                    relay.observer.frame(Direction.HELD, self._at, payload)
                elif actions is not HELD_ECHO:
                    relay.observer.frame(Direction.FROM_UPSTREAM, self._at, payload)
                if relay.pages is not None:
                    relay.pages.from_upstream(self._at, payload, actions)
        except Exception:  # noqa: BLE001 - the outermost handler of what a frame causes
            relay.crashed()

    def binary_received(self, size: int) -> None:  # noqa: ARG002 - how large it was is no matter
        """Pass on that a binary message came."""
        self._relay.binary_from_upstream()

    def read_complete(self) -> None:
        """Pass on that one read has been delivered."""
        if self._count:
            self._relay.on_upstream_read_complete(self._arrived, self._count)
            self._count = 0

    def pause_writing(self) -> None:
        """Pass on that the vendor reads slowly."""
        self.write_paused = True
        self._relay.on_upstream_write_paused()

    def resume_writing(self) -> None:
        """Pass on that the vendor caught up."""
        self.write_paused = False
        self._relay.on_upstream_write_resumed()

    def protocol_error(self, code: int) -> None:
        """Nothing is left to say to a vendor that breaks the protocol."""

    def connection_lost(self, closed: CloseEvent) -> None:
        """Pass on that the vendor is gone, once what it said last has been looked at."""
        self.read_complete()
        if not self._disconnected.done():
            self._disconnected.set_result(None)
        self._relay.on_upstream_disconnected(closed)
