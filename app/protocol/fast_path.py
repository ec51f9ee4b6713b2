"""Fast path: the commonest frames judged from their bytes, without a parser or objects.

A look says yes only to what is certain, byte by byte; all else is for the parser (`codec`) and
the rules behind it, which would say the same. Members may stand in any order, with any white
space, escapes and characters; left to the parser is what is wrong, a member that is not known or
comes twice, an event that ends or fails the conversation, and what `json_scanner` does not
decide. Compiled, this makes no object.
"""

from __future__ import annotations

from typing import Final

from app.protocol.byte_checks import is_well_written
from app.protocol.frames import (
    BODIES,
    EVENT,
    EVENTS_WITH_EFFECT,
    HEADER,
    INCOMING_CHAT_MESSAGE,
    KNOWN_EVENTS,
    RECEIVED,
    TEXT,
    TOOL_CALL,
    TOOL_CALL_RESULT,
    compact_head,
)
from app.protocol.json_scanner import (
    after_colon,
    after_scalar,
    after_space,
    after_value,
    is_at,
)

# As source, a loop over bytes costs far more than the parser, which is written in Rust.
FAST_PATH_ENABLED: Final = not __file__.endswith((".py", ".pyc"))

SIMPLE_TYPES: Final = (TEXT, EVENT, TOOL_CALL, TOOL_CALL_RESULT)
"""The vendor's types that `simple_type` knows: what they say has no effect but to be shown."""

# Levels within a frame of the vendor's.
_DEEPEST: Final = 63
_ACKED: Final = compact_head(RECEIVED) + b',"count":'
_MOST_DIGITS: Final = 15
# Types, keys and names as they stand in a frame, with their quotation marks.
_OF_VENDOR: Final = tuple(b'"%s"' % kind.encode() for kind in SIMPLE_TYPES)
_OF_BROWSER: Final = (b'"%s"' % INCOMING_CHAT_MESSAGE.encode(),)
_EVENT: Final = SIMPLE_TYPES.index(EVENT)
# Any other name may be the gateway's own, is to be counted, or has an effect.
_EVENTS: Final = tuple(
    b'"%s"' % name.encode() for name in sorted(KNOWN_EVENTS - EVENTS_WITH_EFFECT)
)
# The vendor's envelope. The commonest first.
_FIRST: Final = ("type", "timestamp", "content", "name")
_MEMBERS: Final = (*_FIRST, *(each for each in HEADER + BODIES if each not in _FIRST))
_KEYS: Final = tuple(b'"%s"' % member.encode() for member in _MEMBERS)
# What a frame has, as bits: its members, in the order of `_KEYS`; whether its content is a text;
# above these the position of its type.
_NOTHING: Final = 0
_TYPE: Final = 1
_TIMESTAMP: Final = 2
_CONTENT: Final = 4
_NAME: Final = 8
_CONTENT_IS_TEXT: Final = 1 << len(_MEMBERS)
_KIND_SHIFT: Final = len(_MEMBERS) + 1
_WHOLE_MESSAGE: Final = _TYPE | _TIMESTAMP | _CONTENT | _CONTENT_IS_TEXT
_UNKNOWN: Final = -1
_SHORTEST_WORD: Final = min(map(len, (*_OF_VENDOR, *_OF_BROWSER, *_EVENTS, *_KEYS)))
_QUOTE: Final = ord('"')
_COMMA: Final = ord(",")
_OPENING_BRACE: Final = ord("{")
_CLOSING_BRACE: Final = ord("}")
_OPENING_BRACKET: Final = ord("[")
_ZERO: Final = ord("0")
_NINE: Final = 9


def simple_type(payload: bytes) -> int:
    """The position in `SIMPLE_TYPES` of a frame of the vendor's, or -1: the parser is to look.

    It has no member but its envelope's. An event has a name, a documented one without effect, and
    no other type has one. What a browser may be shown of it is not looked at.
    """
    found = _members(payload, _OF_VENDOR, _DEEPEST)
    if not found & _TYPE:
        return _UNKNOWN
    kind = found >> _KIND_SHIFT
    if (kind == _EVENT) != (found & _NAME != 0) or not is_well_written(payload):
        return _UNKNOWN
    return kind


def is_simple_message(payload: bytes) -> bool:
    """Tell whether this is an `incomingChatMessage` as a browser may send it, and complete.

    It has neither objects nor lists within: the parser tells whether a key comes twice in one.
    """
    found = _members(payload, _OF_BROWSER, 0) & (_WHOLE_MESSAGE | _NAME)
    return found == _WHOLE_MESSAGE and is_well_written(payload)


def acked_count(payload: bytes) -> int:
    """The number in a `relay.received` as `client.js` writes it, or -1: the parser is to look."""
    octets = payload  # compiled, the address of its first byte
    end = len(payload)
    start = len(_ACKED)
    if not is_at(octets, 0, end, _ACKED):
        return _UNKNOWN
    size = end - 1 - start
    if not 1 <= size <= _MOST_DIGITS or octets[end - 1] != _CLOSING_BRACE:
        return _UNKNOWN
    if octets[start] == _ZERO and size > 1:
        return _UNKNOWN
    count = 0
    for at in range(start, end - 1):
        digit = octets[at] - _ZERO
        if not 0 <= digit <= _NINE:
            return _UNKNOWN
        count = count * 10 + digit
    return count


def _members(payload: bytes, kinds: tuple[bytes, ...], deepest: int) -> int:  # noqa: C901, PLR0912
    """Name the members, as bits, of a frame of one of these types; nothing if not certain.

    Whether the payload is UTF-8, and its escapes are right, is not looked at: that costs most.
    """
    octets = payload  # compiled, the address of its first byte
    end = len(payload)
    position = after_space(octets, 0, end)
    if position >= end or octets[position] != _OPENING_BRACE:
        return _NOTHING
    found = _NOTHING
    while True:
        position = after_space(octets, position + 1, end)
        which = _which(octets, position, end, _KEYS)
        if which < 0 or found & 1 << which:
            return _NOTHING
        member = 1 << which
        found |= member
        word = _KEYS[which]
        position = after_colon(octets, position + len(word), end)
        if position < 0 or position >= end:
            return _NOTHING
        octet = octets[position]
        if member == _TYPE:
            which = _which(octets, position, end, kinds)
            if which < 0:
                return _NOTHING
            found |= which << _KIND_SHIFT
        elif member == _NAME and _which(octets, position, end, _EVENTS) < 0:
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


def _which(octets: bytes, position: int, end: int, words: tuple[bytes, ...]) -> int:
    """Say which of these words in quotation marks stands here; -1: none of them."""
    if end - position < _SHORTEST_WORD:
        return _UNKNOWN
    second = octets[position + 2]  # it tells more of them apart than the first letter
    for at in range(len(words)):
        word = words[at]
        wanted = word  # compiled, the address of its first byte
        if wanted[2] == second and is_at(octets, position, end, word):
            return at
    return _UNKNOWN
