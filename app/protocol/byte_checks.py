"""Checks over all bytes of a payload: UTF-8, the escapes of its JSON, what it may contain.

Each is a loop without a branch, so that a compiler makes it wide (SIMD). As source they cost far
more than a decoder or a parser, and are for tests alone.
"""

# ruff: noqa: PLR2004 - octets are written by their numbers, as in RFC 3629 and RFC 8259

from __future__ import annotations

from typing import Final

_BACKSLASH: Final = ord("\\")
_U: Final = ord("u")
_LONGEST_ESCAPE: Final = 6
_HIGH_SURROGATES: Final = 0xD800
_LOW_SURROGATES: Final = 0xDC00
_LAST_SURROGATE: Final = 0xDFFF


def is_well_written(payload: bytes) -> bool:
    """Tell whether this is UTF-8, and the escapes in the strings of its JSON are right."""
    octets = payload  # compiled, the address of its first byte
    escaped = 0
    every = 0
    for at in range(len(payload)):
        octet = octets[at]
        every |= octet
        escaped |= octet == 0x5C
    if every >= 0x80 and not is_utf8(payload):
        return False
    return not escaped or has_valid_escapes(payload)


def is_ascii(payload: bytes) -> bool:
    """Tell whether no byte is beyond ASCII, as `bytes.isascii` does."""
    octets = payload
    every = 0
    for at in range(len(payload)):
        every |= octets[at]
    return every < 0x80


def is_utf8(payload: bytes) -> bool:
    """Tell whether this is UTF-8 (RFC 3629 section 4), as `bytes.decode` does.

    A byte must continue a character exactly if one of the three before it begins one of that
    length; what else is wrong shows in two neighbours: forms longer than need be, surrogates, and
    code points beyond the last.
    """
    octets = payload
    end = len(payload)
    if end < 4 or octets[0] | octets[1] | octets[2] >= 0x80:
        return _is_decodable(payload)
    wrong = 0
    for at in range(3, end):
        octet = octets[at]
        before = octets[at - 1]
        second = octets[at - 2]
        third = octets[at - 3]
        begun = (before >= 0xC0) | (second >= 0xE0) | (third >= 0xF0)
        continues = (octet & 0xC0) == 0x80
        wrong |= begun ^ continues
        wrong |= (octet == 0xC0) | (octet == 0xC1) | (octet >= 0xF5)
        wrong |= (before == 0xE0) & (octet < 0xA0)
        wrong |= (before == 0xED) & (octet >= 0xA0)
        wrong |= (before == 0xF0) & (octet < 0x90)
        wrong |= (before == 0xF4) & (octet >= 0x90)
    wrong |= (octets[end - 1] >= 0xC0) | (octets[end - 2] >= 0xE0) | (octets[end - 3] >= 0xF0)
    return not wrong


def _is_decodable(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def has_valid_escapes(payload: bytes) -> bool:
    """Tell whether each escape is one of JSON's (RFC 8259 section 7), and no surrogate is alone.

    Taken for granted is that backslashes stand in strings alone, and not in the first byte.
    """
    octets = payload
    end = len(payload)
    wrong = 0
    rare = 0
    for at in range(6, end):
        begins = (octets[at - 5] == 0x5C) & (octets[at - 6] != 0x5C)
        letter = octets[at - 4]
        first = octets[at - 3]
        second = octets[at - 2]
        numbered = letter == 0x75
        wrong |= begins & ((numbered | _is_escapable(letter)) ^ 1)
        written = _is_hex(first) & _is_hex(second) & _is_hex(octets[at - 1]) & _is_hex(octets[at])
        wrong |= begins & numbered & (written ^ 1)
        # Surrogates, and three backslashes in a row.
        rare |= begins & numbered & ((first | 0x20) == 0x64) & (second >= 0x38)
        rare |= (octets[at - 6] == 0x5C) & (octets[at - 5] == 0x5C) & (letter == 0x5C)
    if wrong and not rare:
        return False
    return _are_valid(payload, 0 if rare else max(0, end - _LONGEST_ESCAPE - 1))


def may_contain(payload: bytes, sought: bytes) -> bool:
    """Tell whether `sought` may stand in a payload; False is certain, True is to be checked.

    Four of its bytes are looked at, at their distances, so that nearly no other text has them.
    """
    octets = payload
    wanted = sought
    last = len(sought) - 1
    if last < 3:
        return True
    second = last // 3
    third = last - second
    found = 0
    for at in range(len(payload) - last):
        found |= (
            (octets[at] == wanted[0])
            & (octets[at + second] == wanted[second])
            & (octets[at + third] == wanted[third])
            & (octets[at + last] == wanted[last])
        )
    return found != 0


def _is_escapable(octet: int) -> int:
    # A sum of what excludes each other: of alternatives gcc makes a test that it cannot make wide.
    return (
        (octet == 0x22)
        + (octet == 0x5C)
        + (octet == 0x2F)
        + (octet == 0x62)
        + (octet == 0x66)
        + (octet == 0x6E)
        + (octet == 0x72)
        + (octet == 0x74)
    )


def _is_hex(octet: int) -> int:
    lower = octet | 0x20
    return ((octet >= 0x30) & (octet <= 0x39)) | ((lower >= 0x61) & (lower <= 0x66))


def _are_valid(payload: bytes, position: int) -> bool:
    """Look at one escape after the other, from a position on."""
    octets = payload
    # It may lie within a run of backslashes, whose beginning tells which of them are escaped.
    while position and octets[position - 1] == _BACKSLASH:
        position -= 1
    while True:
        position = payload.find(b"\\", position)
        if position < 0:
            return True
        position = _after_escape(octets, position, len(payload))
        if position < 0:
            return False


def _after_escape(octets: bytes, position: int, end: int) -> int:
    """Where an escape ends, a pair of surrogates as a whole; -1 where it is wrong."""
    if end - position <= 1:
        return -1
    letter = octets[position + 1]
    if letter != _U:
        return position + 2 if _is_escapable(letter) else -1
    unit = _code_unit(octets, position + 2, end)
    position += _LONGEST_ESCAPE
    if unit < _HIGH_SURROGATES or unit > _LAST_SURROGATE:
        return position if unit >= 0 else -1
    if unit >= _LOW_SURROGATES or end - position < _LONGEST_ESCAPE:
        return -1
    if octets[position] != _BACKSLASH or octets[position + 1] != _U:
        return -1
    unit = _code_unit(octets, position + 2, end)
    return position + _LONGEST_ESCAPE if _LOW_SURROGATES <= unit <= _LAST_SURROGATE else -1


def _code_unit(octets: bytes, position: int, end: int) -> int:
    """Read four hexadecimal digits; -1 where there are none."""
    if end - position < 4:
        return -1
    value = 0
    for at in range(4):
        octet = octets[position + at]
        if not _is_hex(octet):
            return -1
        value = value << 4 | (octet - 0x30 if octet <= 0x39 else (octet | 0x20) - 0x57)
    return value
