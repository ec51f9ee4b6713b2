"""Fast path: the commonest frames judged from their bytes, without a parser or objects.

A look says yes only to what is certain, byte by byte; all else is for the parser (`codec`) and
the rules behind it, which would say the same. Members may stand in any order, with any white
space, escapes and characters; left to the parser is what is wrong, a member that is not known or
comes twice, and what `json_scanner` does not decide. Compiled, this makes no object.
"""

from __future__ import annotations

from typing import Final

from app.protocol.byte_checks import is_well_written
from app.protocol.frames import BODIES, HEADER, INCOMING_CHAT_MESSAGE, RECEIVED, TEXT, compact_head
from app.protocol.json_scanner import (
    after_colon,
    after_scalar,
    after_space,
    after_string,
    after_value,
    is_at,
)

# As source, a loop over bytes costs far more than the parser, which is written in Rust.
FAST_PATH_ENABLED: Final = not __file__.endswith((".py", ".pyc"))

# Levels within a frame of the vendor's.
_DEEPEST: Final = 63
_ACKED: Final = compact_head(RECEIVED) + b',"count":'
_MOST_DIGITS: Final = 15
_TEXT: Final = b'"%s"' % TEXT.encode()
_MESSAGE: Final = b'"%s"' % INCOMING_CHAT_MESSAGE.encode()
# The vendor's envelope but `name`, which may be the gateway's own. The commonest first.
_FIRST: Final = ("type", "timestamp", "content")
_MEMBERS: Final = (*_FIRST, *(each for each in HEADER + BODIES if each not in (*_FIRST, "name")))
_KEYS: Final = tuple(b'"%s"' % member.encode() for member in _MEMBERS)
# What a frame has, as bits: its members, in the order of `_KEYS`; whether its content is a text.
_NOTHING: Final = 0
_TYPE: Final = 1
_TIMESTAMP: Final = 2
_CONTENT: Final = 4
_CONTENT_IS_TEXT: Final = 1 << len(_MEMBERS)
_WHOLE_MESSAGE: Final = _TYPE | _TIMESTAMP | _CONTENT | _CONTENT_IS_TEXT
_QUOTE: Final = ord('"')
_COMMA: Final = ord(",")
_OPENING_BRACE: Final = ord("{")
_CLOSING_BRACE: Final = ord("}")
_OPENING_BRACKET: Final = ord("[")
_ZERO: Final = ord("0")
_NINE: Final = 9


def is_simple_text(payload: bytes) -> bool:
    """Tell whether this is a `text` of the vendor's with no member but its envelope's."""
    return _members(payload, _TEXT, _DEEPEST) & _TYPE != 0 and is_well_written(payload)


def is_simple_message(payload: bytes) -> bool:
    """Tell whether this is an `incomingChatMessage` as a browser may send it, and complete.

    It has neither objects nor lists within: the parser tells whether a key comes twice in one.
    """
    return (_members(payload, _MESSAGE, 0) & _WHOLE_MESSAGE == _WHOLE_MESSAGE) and is_well_written(
        payload
    )


def acked_count(payload: bytes) -> int:
    """The number in a `relay.received` as `client.js` writes it, or -1: the parser is to look."""
    octets = payload  # compiled, the address of its first byte
    end = len(payload)
    start = len(_ACKED)
    if not is_at(octets, 0, end, _ACKED):
        return -1
    size = end - 1 - start
    if not 1 <= size <= _MOST_DIGITS or octets[end - 1] != _CLOSING_BRACE:
        return -1
    if octets[start] == _ZERO and size > 1:
        return -1
    count = 0
    for at in range(start, end - 1):
        digit = octets[at] - _ZERO
        if not 0 <= digit <= _NINE:
            return -1
        count = count * 10 + digit
    return count


def _members(payload: bytes, kind: bytes, deepest: int) -> int:  # noqa: C901
    """Name the members, as bits, of a frame of this `type`; nothing if that is not certain.

    Whether the payload is UTF-8, and its escapes are right, is not looked at: that costs most.
    """
    octets = payload  # compiled, the address of its first byte
    end = len(payload)
    position = after_space(octets, 0, end)
    if position >= end or octets[position] != _OPENING_BRACE:
        return _NOTHING
    found = _NOTHING
    while True:
        start = after_space(octets, position + 1, end)
        position = after_string(octets, start, end)
        if position < 0:
            return _NOTHING
        key = _key(octets, start, position)
        if key < 0 or found & 1 << key:
            return _NOTHING
        member = 1 << key
        found |= member
        position = after_colon(octets, position, end)
        if position < 0 or position >= end:
            return _NOTHING
        octet = octets[position]
        if member == _TYPE and not is_at(octets, position, end, kind):
            return _NOTHING
        if octet in (_OPENING_BRACE, _OPENING_BRACKET):
            position = after_value(octets, position, end, deepest)
        else:
            if member == _CONTENT and octet == _QUOTE:
                found |= _CONTENT_IS_TEXT
            position = after_scalar(octets, position, end)
        if position < 0:
            return _NOTHING
        position = after_space(octets, position, end)
        if position >= end or octets[position] != _COMMA:
            break
    if position >= end or octets[position] != _CLOSING_BRACE:
        return _NOTHING
    return found if after_space(octets, position + 1, end) == end else _NOTHING


def _key(octets: bytes, start: int, stop: int) -> int:
    """Say which key stands here, with its quotation marks; -1: none that is known."""
    for at in range(len(_KEYS)):
        if len(_KEYS[at]) == stop - start and is_at(octets, start, stop, _KEYS[at]):
            return at
    return -1
