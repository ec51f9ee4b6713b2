"""One WebSocket's data phase on an asyncio transport: framing, pings, closing, back-pressure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.protocol.close_codes import TOO_MANY, TOO_SLOW
from app.protocol.errors import PeerError
from app.protocol.rate_limit import TokenBucket
from app.websocket.frame_parser import FrameParser
from app.websocket.frames import CLOSE, PING, PONG, close_payload
from app.websocket.interface import ABNORMAL, NULL_HANDLER, CloseEvent
from app.websocket.timer_wheel import NEVER
from app.websocket.transport import CLOSED, CLOSING, CLOSING_TCP, OPEN, BufferedTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.websocket.interface import SocketHandler
    from app.websocket.io_batcher import IoBatcher
    from app.websocket.limits import WireLimits

_MANY: Final = 64


class Connection(BufferedTransport):
    """A `Socket` of either role; a subclass says which, and what its frames look like.

    Its transport must not be reading when it is made; `open` starts that. `leg` is the word for
    logs. The owner hears of the end as soon as there is nothing more to deliver, before TCP is
    wound up. It is one class: pings, deadlines, back-pressure and the closing handshake all decide
    by the one state of `BufferedTransport`, and each of them may end it.
    """

    is_server = False
    leg = ""

    __slots__ = (
        "_closed",
        "_controls",
        "_discarded",
        "_early",
        "_limits",
        "_loop",
        "_parser",
        "_ping_at",
        "_slot",
        "_unanswered_ping_at",
        "on_binary",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        limits: WireLimits,
        batcher: IoBatcher,
        early: bytes = b"",
    ) -> None:
        """`early` is what came behind the handshake: delivered first, by `open`."""
        super().__init__(transport, limits, batcher)
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._early = early
        self._parser = FrameParser(
            self,
            pass_through=None if self.is_server else batcher.pass_through,
            max_message=limits.max_message,
            max_fragments=limits.max_fragments,
        )
        self._closed: CloseEvent | None = None
        self._unanswered_ping_at = 0.0  # when the oldest ping without an answer was sent
        self._discarded = 0
        self._controls: TokenBucket | None = None
        self._slot = NEVER
        self.on_binary: Callable[[bytes], None] | None = None
        self._ping_at = 0.0
        if limits.ping_interval > 0:
            first = limits.ping_interval * (1 - batcher.timer_wheel.jitter() / 2)
            self._ping_at = self._loop.time() + first
            self._set_deadline(first)

    # The socket, for its owner

    def open(self, handler: SocketHandler) -> None:
        """Name the owner and start delivering; bytes that came before are delivered first."""
        if self._closed is not None:
            # The owner may still be in the making: it hears of the end in its own turn.
            self._handler = handler
            self._loop.call_soon(self._report_closed, self._closed)
            return
        self._handler = handler
        self._parser.on_text = handler.text_received
        if self._paused_writing:  # said before there was an owner to hear it
            handler.pause_writing()
        self._read_on()

    def detach(self) -> None:
        """Forget the owner: nothing more is delivered to it."""
        self._handler = NULL_HANDLER
        self._parser.on_text = NULL_HANDLER.text_received

    def close(self, code: int, reason: str = "") -> None:
        """Flush, start the closing handshake, and give it its time-out (RFC 6455 §7.1.1)."""
        if self._state != OPEN:
            return
        self._write(CLOSE, close_payload(code, reason))
        self._state = CLOSING
        self._parser.on_text = NULL_HANDLER.text_received
        self._set_deadline(self._limits.close_timeout)
        self._read_on()  # the peer's answer must be seen

    def abort(self) -> None:
        """Drop the connection at once; the owner hears of it in the loop's next turn."""
        if self._state < CLOSING_TCP:
            self._state = CLOSING_TCP
            self._parser.stop()
            self._transport.abort()

    # The transport's calls

    def data_received(self, data: bytes) -> None:
        """Take one read; it is delivered when the turn ends, and what it leads to written."""
        self._heard = True
        self._batcher.enqueue_read(self, data)

    def deliver(self, data: bytes) -> None:
        """Parse one read, and let the owner hear of it."""
        parser = self._parser
        if parser.stopped:
            self._discard(len(data))
            return
        try:
            parser.feed(data)
            self._handler.read_complete()
        except PeerError as fault:
            self._fail(fault.code, str(fault))
        finally:
            self._batcher.pass_through.release()

    def eof_received(self) -> bool | None:
        """Let the transport close itself: a half-open WebSocket is of no use."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Take note that TCP is gone, however it went."""
        self._batcher.deliver_reads()  # what was read before
        by_peer = self._state == OPEN
        self._state = CLOSED
        self._clear_deadline()
        self._parser.stop()
        self._cork.clear()
        self._end(CloseEvent(ABNORMAL, by_peer=by_peer))

    # What the parser hears besides text

    def text_received(self, payload: bytes) -> None:
        """Drop a message: no handler is set."""

    def binary_received(self, payload: bytes) -> None:
        """Pass it on, unless a close is out."""
        if self._state != OPEN:
            return
        if self.on_binary is not None:
            self.on_binary(payload)
        else:
            self._handler.binary_received(len(payload))

    def ping_received(self, payload: bytes) -> None:
        """Answer, as long as the peer neither floods nor lets the answers pile up."""
        self._count_control()
        if self._state != OPEN:
            return
        if len(self._cork) > _MANY:
            self.flush()  # so that a flood in one read is bounded, and cheap to count
        if self.write_buffer_size > self._limits.max_waiting:
            self._report("unread answers", TOO_SLOW.code)
            self._end(CloseEvent(TOO_SLOW.code, by_peer=False))
            self.abort()
            return
        self._write(PONG, payload)

    def pong_received(self, payload: bytes) -> None:  # noqa: ARG002 - any byte is a sign of life
        """Count it; that it came is all there is to know."""
        self._count_control()

    def close_received(self, code: int, reason: str) -> None:
        """Finish the closing handshake, begun by either side (§5.5.1, §7.1.1)."""
        by_peer = self._state == OPEN
        if by_peer:
            self._write(CLOSE, close_payload(code))
        self._state = CLOSING_TCP
        self._set_deadline(self._limits.close_timeout)
        self._end(CloseEvent(code, reason, by_peer=by_peer))
        self.resume_reading()
        if self.is_server:
            # The server is the first to close TCP (§7.1.1); the other side waits for that.
            self.flush()
            self._transport.close()

    # Deadlines

    def on_timeout(self) -> None:
        """Ping, or give up on a peer that did not answer, or on one that did not close."""
        self._slot = NEVER
        limits = self._limits
        if self._state != OPEN:
            self._state = max(self._state, CLOSING_TCP)
            self._parser.stop()
            self._transport.abort()
            return
        now = self._loop.time()
        if self._heard or not self._reading:
            self._unanswered_ping_at = 0.0  # any byte is an answer
        elif self._unanswered_ping_at and now >= self._unanswered_ping_at + limits.ping_timeout:
            self._report("silent", ABNORMAL)
            self._end(CloseEvent(ABNORMAL, by_peer=False))
            self.abort()
            return
        if now >= self._ping_at:
            self._write(PING, b"")
            self._ping_at = now + limits.ping_interval
            if (
                not self._unanswered_ping_at
            ):  # else an older one waits: a time-out may be longer than a round
                self._unanswered_ping_at = now
                self._heard = not self._reading
        due = (
            min(self._ping_at, self._unanswered_ping_at + limits.ping_timeout)
            if self._unanswered_ping_at
            else self._ping_at
        )
        self._set_deadline(due - now)

    def _set_deadline(self, delay: float) -> None:
        self._clear_deadline()
        self._slot = self._batcher.timer_wheel.add(self, delay)

    def _clear_deadline(self) -> None:
        if self._slot != NEVER:
            self._batcher.timer_wheel.remove(self, self._slot)
            self._slot = NEVER

    # The rest

    def _read_on(self) -> None:
        """Read, once what came before has been delivered.

        That is a batch, and a batch must not begin within another: so not now.
        """
        if self._early:
            self._loop.call_soon(self._deliver_early)
        else:
            self.resume_reading()

    def _deliver_early(self) -> None:
        early, self._early = self._early, b""
        self.resume_reading()
        if early and self._state != CLOSED:
            self.data_received(early)

    def _end(self, closed: CloseEvent) -> None:
        """Tell the owner, once, that nothing more will come."""
        if self._closed is None:
            self._closed = closed
            self.on_binary = None
            self._parser.on_text = NULL_HANDLER.text_received
            self._report_closed(closed)

    def _report_closed(self, closed: CloseEvent) -> None:
        owner, self._handler = self._handler, NULL_HANDLER
        owner.connection_lost(closed)

    def _fail(self, code: int, fault: str) -> None:
        """Fail the connection (§7.1.7): say why, then wait for the peer to see it.

        Closing TCP with bytes unread would be a reset, which may overtake the close frame; so
        what still comes is thrown away until the peer has gone or its time is up.
        """
        self._report(fault, code)
        if self._state == OPEN:
            self._handler.protocol_error(code)
            self._write(CLOSE, close_payload(code))
        self._state = CLOSING_TCP
        self._parser.stop()
        self._set_deadline(self._limits.close_timeout)
        self.resume_reading()
        self._end(CloseEvent(code, by_peer=False))
        if self.is_server:
            self.flush()
            if self._transport.can_write_eof():
                self._transport.write_eof()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self._limits.max_discarded:
            self._transport.abort()

    def _count_control(self) -> None:
        """Keep pings and pongs within their rate."""
        if self._controls is None:
            limits = self._limits
            self._controls = TokenBucket(limits.controls_per_second, limits.control_burst)
        if not self._controls.allows(self._loop.time()):
            raise PeerError(TOO_MANY.code, "flood of control frames")

    def _report(self, fault: str, code: int) -> None:
        self._batcher.report(self.leg, fault, code, self._loop.time())
