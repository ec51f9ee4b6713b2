"""WebSocket frames on the wire (RFC 6455 §5): opcodes, headers, and a close frame's payload."""

from __future__ import annotations

from struct import Struct
from typing import Final

from app.protocol.errors import PeerError
from app.websocket.interface import NO_STATUS

CONT: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
FIN: Final = 0x80
RESERVED: Final = 0x70
MASKED: Final = 0x80

PROTOCOL_ERROR: Final = 1002
NOT_UTF8: Final = 1007
TOO_LARGE: Final = 1009

MAX_CONTROL: Final = 125
MAX_16: Final = 0xFFFF

# RFC 6455 §7.4.1 and the registry it opened (1012-1014); 3000-4999 are free (§7.4.2).
_CLOSE_CODES: Final = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))

# Headers (§5.2), the short ones ready-made: they are on the hot path.
_LONG: Final = Struct(">BBH").pack
_LONGEST: Final = Struct(">BBQ").pack
_SHORT: Final = tuple(
    tuple(bytes((FIN | opcode, size)) for size in range(MAX_CONTROL + 1)) for opcode in range(16)
)
_SHORT_MASKED: Final = tuple(
    tuple(bytes((FIN | opcode, MASKED | size)) for size in range(MAX_CONTROL + 1))
    for opcode in range(16)
)


def header(opcode: int, size: int) -> bytes:
    """Make the header of a whole unmasked frame: a server's."""
    if size <= MAX_CONTROL:
        return _SHORT[opcode][size]
    if size <= MAX_16:
        return _LONG(FIN | opcode, 126, size)
    return _LONGEST(FIN | opcode, 127, size)


def masked_header(opcode: int, size: int) -> bytes:
    """Make the header of a whole masked frame, up to the key: a client's."""
    if size <= MAX_CONTROL:
        return _SHORT_MASKED[opcode][size]
    if size <= MAX_16:
        return _LONG(FIN | opcode, MASKED | 126, size)
    return _LONGEST(FIN | opcode, MASKED | 127, size)


def parse_close(payload: bytes) -> tuple[int, str]:
    """Take a close frame's code and reason apart; 1005 where it has none (§7.1.5)."""
    if not payload:
        return NO_STATUS, ""
    try:
        reason = payload[2:].decode()
    except UnicodeDecodeError:
        raise PeerError(NOT_UTF8, "close reason not UTF-8") from None
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in _CLOSE_CODES:
        raise PeerError(PROTOCOL_ERROR, "invalid close code")
    return code, reason


def close_payload(code: int, reason: str = "") -> bytes:
    """Make a close frame's payload; the reason is cut to what a control frame holds (§5.5)."""
    if code == NO_STATUS:
        return b""
    room = MAX_CONTROL - 2
    text = reason.encode()[:room].decode(errors="ignore").encode()
    return code.to_bytes(2, "big") + text
