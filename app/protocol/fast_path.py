"""Fast path: the two commonest frames validated from their bytes, without a parser or objects.

A look says yes only to what is certain, byte by byte; all else is for the parser (`codec`) and
the rules behind it, which would say the same. That holds for all that is unusual: white space, an
escape by number, a list, a fraction, a member that is not known or comes twice. Compiled,
this is a loop over bytes that makes no object.
"""

from __future__ import annotations

from typing import Final

from app.protocol.frames import BODIES, HEADER, INCOMING_CHAT_MESSAGE, TEXT, compact_head

# As source, a loop over bytes costs far more than the parser, which is written in Rust.
FAST_PATH_ENABLED: Final = not __file__.endswith((".py", ".pyc"))

_LONGEST_NUMBER: Final = 15
_DEEPEST: Final = 3
_TEXT: Final = compact_head(TEXT)
_MESSAGE: Final = compact_head(INCOMING_CHAT_MESSAGE)
# The vendor's envelope but `type`, which stands first, and `name`, which may be the gateway's own.
# The commonest is looked for first.
_MEMBERS: Final = (
    "content",
    *(each for each in HEADER + BODIES if each not in {"type", "name", "content"}),
)
_KEYS: Final = tuple(b'"%s":' % member.encode() for member in _MEMBERS)
# What a frame has, as bits: that it is plain, that its content is a text, and its members, in the
# order of `_KEYS`.
_NOT_PLAIN: Final = 0
_PLAIN: Final = 1
_ESCAPED: Final = 2  # as an answer about bytes: plain, but for escapes
_CONTENT_IS_TEXT: Final = 2
_CONTENT: Final = 4
_TIMESTAMP: Final = _CONTENT << _MEMBERS.index("timestamp")
_CHANNEL: Final = _CONTENT << _MEMBERS.index("channelId")
_NULL: Final = b"null"
_TRUE: Final = b"true"
_FALSE: Final = b"false"
_QUOTE: Final = ord('"')
_COLON: Final = ord(":")
_COMMA: Final = ord(",")
_OPENING: Final = ord("{")
_CLOSING: Final = ord("}")
_ESCAPE: Final = ord("\\")
# From so many bytes on, the end of a text is looked for by the C library.
_NEAR: Final = 48
_SPACE: Final = ord(" ")
_ZERO: Final = ord("0")
_NINE: Final = ord("9")
_NOT_ASCII: Final = 0x80


def is_simple_text(payload: bytes) -> bool:
    """Tell whether this is a `text` of the vendor's with no member but its envelope's."""
    return _members(payload, _TEXT, _DEEPEST) != _NOT_PLAIN


def is_simple_message(payload: bytes) -> bool:
    """Tell whether this is an `incomingChatMessage` as a browser may send it, and complete."""
    found = _members(payload, _MESSAGE, 1)
    return found | _CHANNEL == _PLAIN | _CONTENT_IS_TEXT | _CONTENT | _TIMESTAMP | _CHANNEL


def _members(payload: bytes, head: bytes, deepest: int) -> int:  # noqa: C901, PLR0912
    """Name the members behind `head`, as bits, if all of a frame is plain."""
    octets = payload  # compiled, the address of its first byte
    end = len(payload)
    kind = _kind_of(payload) if _stands(octets, 0, end, head) else _NOT_PLAIN
    if kind == _NOT_PLAIN:
        return _NOT_PLAIN
    position = len(head)
    found = _PLAIN
    depth = 1
    while position < end:
        if octets[position] == _CLOSING:
            position += 1
            depth -= 1
            if not depth:
                return found if position == end else _NOT_PLAIN
            continue
        if octets[position - 1] != _OPENING:  # else it is an object's first member
            if octets[position] != _COMMA:
                return _NOT_PLAIN
            position += 1
        member = 0
        if depth == 1:
            key = _key(octets, position, end)
            if key < 0:
                return _NOT_PLAIN
            member = _CONTENT << key
            if found & member:
                return _NOT_PLAIN
            found |= member
            position += len(_KEYS[key])
        else:
            position = _after_text(payload, octets, position, end, kind)
            if position >= end or octets[position] != _COLON:
                return _NOT_PLAIN
            position += 1
        if position < end and octets[position] == _OPENING:
            depth += 1
            if depth > deepest:
                return _NOT_PLAIN
            position += 1
            continue
        if member == _CONTENT and position < end and octets[position] == _QUOTE:
            found |= _CONTENT_IS_TEXT
        position = _after_scalar(payload, octets, position, end, kind)
    return _NOT_PLAIN


def _stands(octets: bytes, position: int, end: int, expected: bytes) -> bool:
    """Tell whether these bytes stand here."""
    wanted = expected  # compiled, the address of its first byte
    size = len(expected)
    if size > end - position:
        return False
    for at in range(size):  # noqa: SIM110 - compiled, a loop without a generator
        if octets[position + at] != wanted[at]:
            return False
    return True


def _key(octets: bytes, position: int, end: int) -> int:
    """Say which key stands here, with its colon; -1: none that is known."""
    for at in range(len(_KEYS)):
        if _stands(octets, position, end, _KEYS[at]):
            return at
    return -1


def _after_scalar(payload: bytes, octets: bytes, position: int, end: int, kind: int) -> int:
    """Where a text, a number, true, false or null ends that begins here; `end` where none does."""
    if position >= end:
        return end
    octet = octets[position]
    if octet == _QUOTE:
        return _after_text(payload, octets, position, end, kind)
    if _ZERO <= octet <= _NINE:
        start = position
        while position < end and _ZERO <= octets[position] <= _NINE:
            position += 1
        size = position - start
        return end if size > _LONGEST_NUMBER or (octet == _ZERO and size > 1) else position
    if _stands(octets, position, end, _NULL) or _stands(octets, position, end, _TRUE):
        return position + len(_NULL)
    if _stands(octets, position, end, _FALSE):
        return position + len(_FALSE)
    return end


def _after_text(payload: bytes, octets: bytes, position: int, end: int, kind: int) -> int:
    """Where a text ends that begins here; `end` where none does. `octets` are the payload's."""
    if position >= end or octets[position] != _QUOTE:
        return end
    position += 1
    if kind == _ESCAPED:
        return _after_escaped(octets, position, end)
    near = min(end, position + _NEAR)
    while position < near and octets[position] != _QUOTE:
        position += 1
    if position == near:
        position = payload.find(b'"', position)
        if position < 0:
            return end
    return position + 1 if position < end else end


def _after_escaped(octets: bytes, position: int, end: int) -> int:
    """Where a text with escapes ends whose content begins here; `end` where one is unusual."""
    while position < end:
        octet = octets[position]
        position += 1
        if octet == _QUOTE:
            return position
        if octet == _ESCAPE:
            # RFC 8259 section 7, but for `u`: surrogates are for the parser.
            if position >= end or octets[position] not in (34, 92, 47, 98, 102, 110, 114, 116):
                return end
            position += 1
    return end


def _kind_of(payload: bytes) -> int:
    """Tell whether something is escaped, or stands where only white space or a mistake would."""
    octets = payload
    irregular = 0
    escaped = 0
    every = 0
    for at in range(len(payload)):  # without a way out, so that a compiler makes it wide
        octet = octets[at]
        every |= octet
        irregular |= octet < _SPACE
        escaped |= octet == _ESCAPE
    if irregular or (every >= _NOT_ASCII and not _is_utf8(payload)):
        return _NOT_PLAIN
    return _ESCAPED if escaped else _PLAIN


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
