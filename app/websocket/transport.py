"""Bytes to a peer and from it: corked, paced, on an asyncio transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.websocket.frames import BINARY, TEXT
from app.websocket.interface import NULL_HANDLER

if TYPE_CHECKING:
    import asyncio

    from app.websocket.interface import SocketHandler
    from app.websocket.io_batcher import IoBatcher
    from app.websocket.limits import WireLimits

OPEN: Final = 0
CLOSING: Final = 1  # our close is out, the peer's is awaited
CLOSING_TCP: Final = 2  # nothing more will be delivered; TCP is being wound up
CLOSED: Final = 3  # the transport is gone
STATES: Final = ("OPEN", "CLOSING", "CLOSING_TCP", "CLOSED")
_TEXT: Final = TEXT
_MANY: Final = 64  # pieces: with frames below the next bound, a megabyte or two
LARGE: Final = 32 * 1024


class BufferedTransport:
    """The half of a `Connection` that knows no rule of the protocol.

    It is an asyncio protocol by its methods, not by its base: compiled, it has a C layout.
    Its state is OPEN → CLOSING → CLOSING_TCP → CLOSED, with any of them left out: those of RFC 6455
    section 4.1 and 7, and one more, as the peer may be done while TCP is not.
    """

    __slots__ = (
        "_batcher",
        "_cork",
        "_handler",
        "_heard",
        "_paused_writing",
        "_reading",
        "_state",
        "_transport",
    )

    def __init__(
        self, transport: asyncio.Transport, limits: WireLimits, batcher: IoBatcher
    ) -> None:
        self._transport = transport
        self._batcher = batcher
        self._handler: SocketHandler = NULL_HANDLER
        self._cork: list[bytes] = []
        self._state = OPEN
        self._reading = False
        self._paused_writing = False
        self._heard = True
        transport.set_write_buffer_limits(high=limits.high_water, low=limits.low_water)

    def __repr__(self) -> str:
        reading = "reading" if self._reading else "not reading"
        slow = ", peer reads slowly" if self._paused_writing else ""
        return f"<{type(self).__name__}: {STATES[self._state]}, {reading}{slow}>"

    @property
    def write_buffer_size(self) -> int:
        """Bytes that were sent and still wait to be written to the kernel, corked ones included."""
        return self._unwritten()

    def send_text(self, payload: bytes) -> None:
        """Send one text message; corked until the loop iteration ends."""
        if self._state:
            return
        # Pieces are joined when the cork is pulled: a payload is copied once.
        cork = self._cork
        if not cork:
            self._batcher.schedule_flush(self)
        cork += self._frame(_TEXT, payload)
        if len(cork) > _MANY or len(payload) > LARGE:
            self.flush()  # so that what is corked is bounded, and back-pressure felt in time

    def send_binary(self, payload: bytes) -> None:
        """Send one binary message; `on_binary` takes those that come, where it is set."""
        if self._state == OPEN:
            self._write(BINARY, payload)

    def flush(self) -> None:
        """Write what is corked, in one write."""
        cork = self._cork
        if cork:
            data = cork[0] if len(cork) == 1 else b"".join(cork)
            cork.clear()  # first: a full transport calls the owner, who may send
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Stop reading, so that TCP slows the peer down; what was read is still delivered."""
        if self._reading and self._state == OPEN:
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._reading and self._state != CLOSED and not self._transport.is_closing():
            self._reading = True
            self._heard = True  # silence that we asked for is not the peer's
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Pass on that the peer reads slowly."""
        self._paused_writing = True
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the peer caught up."""
        self._paused_writing = False
        self._handler.resume_writing()

    def _unwritten(self) -> int:
        corked = sum(map(len, self._cork)) if self._cork else 0
        return self._transport.get_write_buffer_size() + corked

    def _frame(self, opcode: int, payload: bytes) -> tuple[bytes, ...]:
        """Make the pieces of a whole frame of this role."""
        raise NotImplementedError

    def _write(self, opcode: int, payload: bytes) -> None:
        """Send a frame behind what is corked."""
        if not self._cork:
            self._batcher.schedule_flush(self)
        self._cork += self._frame(opcode, payload)
