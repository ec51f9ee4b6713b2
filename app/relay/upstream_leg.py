"""The vendor's leg: one socket for the whole conversation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.relay.interface import FrameHandler, UpstreamLegEvents
    from app.websocket.interface import CloseEvent, Socket


class UpstreamLeg:
    """The vendor's socket and its handler.

    `received` takes what the socket receives, `events` hears how it fares.
    """

    __slots__ = (
        "_disconnected",
        "_events",
        "_socket",
        "binary_received",
        "is_held",
        "is_paused",
        "read_complete",
        "text_received",
        "write_paused",
    )

    def __init__(self, received: FrameHandler, events: UpstreamLegEvents) -> None:
        self.text_received = received.text_received
        self.binary_received = received.binary_received
        self.read_complete = received.read_complete
        self.is_held = False  # what was read waits for a guardrail
        self.is_paused = False  # whether it is not read
        self.write_paused = False
        self._events = events
        self._socket: Socket | None = None
        self._disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def attach(self, socket: Socket) -> None:
        """Take the socket that was dialled; nothing is heard of it before `start_receiving`."""
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
        """Read the vendor, or let TCP slow it down; not while what was read waits."""
        reading = reading and not self.is_held
        if self._socket is None or self.is_paused is not reading:
            return
        self.is_paused = not reading
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

    # Events of the socket, beside what it receives

    def pause_writing(self) -> None:
        """The vendor reads slowly."""
        self.write_paused = True
        self._events.on_upstream_writable(writable=False)

    def resume_writing(self) -> None:
        """The vendor caught up."""
        self.write_paused = False
        self._events.on_upstream_writable(writable=True)

    def protocol_error(self, code: int) -> None:
        """Nothing is left to say to a vendor that breaks the protocol."""

    def connection_lost(self, closed: CloseEvent) -> None:
        """The vendor is gone; what it said last is looked at first."""
        self.read_complete()
        if not self._disconnected.done():
            self._disconnected.set_result(None)
        self._events.on_upstream_disconnected(closed)
