"""WebSocket framing without I/O (RFC 6455 §5), for both roles: bytes in, calls out.

Nothing here knows a socket, a clock or a log. A peer's mistake is a `PeerError` with the close
code that the RFC gives it; the parser must not be fed after one.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, Final, Protocol

from app.protocol.byte_checks import is_ascii, is_utf8
from app.protocol.errors import PeerError
from app.websocket.frames import (
    BINARY,
    CLOSE,
    CONT,
    FIN,
    MASKED,
    MAX_16,
    MAX_CONTROL,
    NOT_UTF8,
    PING,
    PONG,
    PROTOCOL_ERROR,
    RESERVED,
    TEXT,
    TOO_LARGE,
    parse_close,
)
from app.websocket.masking import apply_mask

if TYPE_CHECKING:
    from codecs import IncrementalDecoder

    from app.websocket.pass_through import PassThrough

_COMPILED: Final = not __file__.endswith((".py", ".pyc"))
_FIN_TEXT: Final = FIN | TEXT
_MAX_CONTROL: Final = MAX_CONTROL
_OPCODES: Final = frozenset((CONT, TEXT, BINARY, CLOSE, PING, PONG))
_Utf8 = getincrementaldecoder("utf-8")


class FrameHandler(Protocol):
    """Who hears what a peer sent."""

    def text_received(self, payload: bytes) -> None:
        """Take a whole text message, valid UTF-8."""
        ...

    def binary_received(self, payload: bytes) -> None:
        """Take a whole binary message."""
        ...

    def ping_received(self, payload: bytes) -> None:
        """Answer with a pong of the same payload (§5.5.3)."""
        ...

    def pong_received(self, payload: bytes) -> None:
        """Take note of a pong, asked for or not."""
        ...

    def close_received(self, code: int, reason: str) -> None:
        """Take the peer's close; 1005 if it gave no code. Nothing after it is parsed."""
        ...


class FrameParser:
    """One direction of one connection.

    `text` is where whole text messages go, by themselves because they are the hot path: the
    owner's own method, without a call in between.
    """

    __slots__ = (
        "_decoder",
        "_fragments",
        "_held",
        "_masked",
        "_max_fragments",
        "_max_message",
        "_need",
        "_opcode",
        "_parts",
        "_pass_through",
        "_size",
        "handler",
        "on_text",
        "stopped",
    )

    def __init__(
        self,
        handler: FrameHandler,
        *,
        pass_through: PassThrough | None,
        max_message: int,
        max_fragments: int,
    ) -> None:
        """Parse what a client sends, masked; with an `pass_through`, what a server sends (§5.1).

        The origin is told where each text message came from.
        """
        self.handler = handler
        self._pass_through = pass_through
        self.on_text = handler.text_received
        self.stopped = False
        self._masked = 0 if pass_through is not None else MASKED
        self._max_message = max_message
        self._max_fragments = max_fragments
        self._held: bytearray | None = None
        self._need = 0
        self._opcode = CONT  # of the message whose fragments are arriving; CONT: there is none
        self._parts: list[bytes] | None = None
        self._decoder: IncrementalDecoder | None = None
        self._fragments = 0
        self._size = 0

    @property
    def held(self) -> int:
        """Bytes kept for a frame or message that is not yet whole."""
        parts = 0 if self._parts is None else sum(map(len, self._parts))
        return parts + (0 if self._held is None else len(self._held))

    @property
    def within_message(self) -> bool:
        """Whether a message has begun whose last fragment has not come."""
        return self._opcode != CONT

    def feed(self, data: bytes) -> None:  # noqa: C901, PLR0912, PLR0915 - see below
        """Take what one read brought, and call for everything that is whole now."""
        held = self._held
        if held is not None:
            held += data
            if len(held) < self._need:
                return
            data = bytes(held)
            self._held = None
        octets = data  # compiled, the address of its first byte
        position = 0
        end = len(data)
        non_minimal_at = -1  # where a frame began whose header is longer than need be
        masked = self._masked
        pass_through = self._pass_through
        if pass_through is not None:
            pass_through.data = data
        max_message = self._max_message
        # One pass, no calls but the owner's: this loop is most of what a message costs.
        while not self.stopped:
            start = position + 2
            if start > end:
                self._hold(data, position, start)
                return
            head = octets[position]
            # The right mask bit becomes 0, so that the usual case is one comparison.
            size = octets[position + 1] ^ masked
            if size > _MAX_CONTROL:
                if size == 126:  # noqa: PLR2004 - RFC 6455 §5.2
                    start = position + 4
                    if start > end:
                        self._hold(data, position, start)
                        return
                    size = octets[position + 2] << 8 | octets[position + 3]
                    if size <= _MAX_CONTROL:
                        non_minimal_at = position
                elif size == 127:  # noqa: PLR2004
                    start = position + 10
                    if start > end:
                        self._hold(data, position, start)
                        return
                    size = int.from_bytes(data[position + 2 : start], "big")
                    if size <= MAX_16:
                        non_minimal_at = position
                else:
                    raise PeerError(PROTOCOL_ERROR, "wrong masking")
            if head != _FIN_TEXT or self._opcode or size > max_message:
                self._check(head, size)
            if masked:
                body = start + 4
                stop = body + size
                if stop > end:
                    self._hold(data, position, stop)
                    return
                payload = apply_mask(octets[body:stop], octets[start:body])
            else:
                stop = start + size
                if stop > end:
                    self._hold(data, position, stop)
                    return
                payload = octets[start:stop]
            if head == _FIN_TEXT:
                # A scan without a copy settles most messages; the rest pay for decoding.
                if not (is_ascii(payload) if _COMPILED else payload.isascii()):
                    _check_utf8(payload)
                # A receiver may take such a header, a sender may not make one (§5.2).
                if pass_through is not None and non_minimal_at != position:
                    pass_through.payload = payload
                    pass_through.start = position
                    pass_through.stop = stop
                text = self.on_text  # of its own line, which the interpreter makes quick
                text(payload)
            elif head & 0x08:
                self._control(head & 0x0F, payload)
            else:
                self._fragment(head, payload)
            if stop == end:
                return
            position = stop

    def stop(self) -> None:
        """Parse nothing more, not even what came with the same read; let go of what is held."""
        self.stopped = True
        self._held = self._parts = self._decoder = None

    def _hold(self, data: bytes, position: int, need: int) -> None:
        """Keep an unfinished frame; its size is known to be allowed before it is kept."""
        if position < len(data):
            self._held = bytearray(data[position:])
            self._need = need - position

    def _check(self, head: int, size: int) -> None:  # noqa: C901 - a list of rules
        """Refuse a frame by its header alone, before its payload is waited for."""
        opcode = head & 0x0F
        if opcode not in _OPCODES:
            raise PeerError(PROTOCOL_ERROR, "unknown opcode")
        if opcode & 0x08:
            if size > MAX_CONTROL or not head & FIN:
                raise PeerError(PROTOCOL_ERROR, "control frame too long or in fragments")
        elif size > self._max_message - self._size:
            raise PeerError(TOO_LARGE, "message too large")
        if head & RESERVED:
            raise PeerError(PROTOCOL_ERROR, "reserved bit set")
        if opcode & 0x08:
            return
        if opcode == CONT:
            if not self._opcode:
                raise PeerError(PROTOCOL_ERROR, "continuation of nothing")
            if self._fragments >= self._max_fragments:
                raise PeerError(TOO_LARGE, "too many fragments")
        elif self._opcode:
            raise PeerError(PROTOCOL_ERROR, "message within a message")

    def _fragment(self, head: int, payload: bytes) -> None:
        """Take a fragment, or a whole binary message."""
        final = bool(head & FIN)
        opcode = head & 0x0F
        if opcode:
            self._opcode = opcode
            self._parts = []
            self._decoder = _Utf8() if opcode == TEXT else None
        opcode, parts, decoder = self._opcode, self._parts, self._decoder
        if parts is None:  # the parser was stopped
            return
        if decoder is not None:
            # Fragments may part a code point: what came so far is judged at once (§8.1).
            try:
                decoder.decode(payload, final)
            except UnicodeDecodeError:
                raise PeerError(NOT_UTF8, "not UTF-8") from None
        self._fragments += 1
        self._size += len(payload)
        if payload:
            parts.append(payload)
        if final:
            self._forget_message()
            (self.on_text if opcode == TEXT else self.handler.binary_received)(b"".join(parts))

    def _forget_message(self) -> None:
        self._opcode = CONT
        self._parts = self._decoder = None
        self._fragments = self._size = 0

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.handler.ping_received(payload)
        elif opcode == PONG:
            self.handler.pong_received(payload)
        else:
            code, reason = parse_close(payload)
            self.stop()
            self.handler.close_received(code, reason)


def _check_utf8(payload: bytes) -> None:
    # Compiled, this is quicker by far than a decoder, which makes a string.
    if _COMPILED and is_utf8(payload):
        return
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise PeerError(NOT_UTF8, "not UTF-8") from None
