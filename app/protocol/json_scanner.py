"""JSON values passed over from their bytes, without a parser or objects (RFC 8259).

Each function says where something ends that begins at a position, or -1: it is wrong, or so
unusual that a parser must tell. Left to `byte_checks` is whether the payload
is UTF-8, and the escapes in it are right. No string begins in its first byte, and no number ends
with its last, as it is an object. Whether a key comes twice in an object is not looked at.
"""

# ruff: noqa: PLR2004 - octets are written by their numbers, as in RFC 8259

from __future__ import annotations

from typing import Final

_UNDECIDED: Final = -1
# A number within both has no more than 300 digits before its point: a double can hold it.
_LONGEST_NUMBER: Final = 200
_LONGEST_EXPONENT: Final = 2
_BLOCK: Final = 32
_NULL: Final = b"null"
_TRUE: Final = b"true"
_FALSE: Final = b"false"
_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")
_COLON: Final = ord(":")
_COMMA: Final = ord(",")
_OPENING_BRACE: Final = ord("{")
_CLOSING_BRACE: Final = ord("}")
_OPENING_BRACKET: Final = ord("[")
_CLOSING_BRACKET: Final = ord("]")
_SPACE: Final = ord(" ")
_ZERO: Final = ord("0")
_NINE: Final = ord("9")


def after_space(octets: bytes, position: int, end: int) -> int:
    """Where white space ends, which may be none."""
    while position < end and octets[position] in (0x20, 0x0A, 0x0D, 0x09):
        position += 1
    return position


def is_at(octets: bytes, position: int, end: int, expected: bytes) -> bool:
    """Tell whether these bytes stand here."""
    wanted = expected  # compiled, the address of its first byte
    size = len(expected)
    if size > end - position:
        return False
    for at in range(size):  # noqa: SIM110 - compiled, a loop without a generator
        if octets[position + at] != wanted[at]:
            return False
    return True


def after_string(octets: bytes, position: int, end: int) -> int:
    """Where a string ends that begins here, behind its closing quotation mark."""
    if position >= end or octets[position] != _QUOTE:
        return _UNDECIDED
    position += 1
    while position < end:
        if end - position >= _BLOCK and not _may_end(octets, position):
            position += _BLOCK
            continue
        stop = min(end, position + _BLOCK)
        while position < stop:
            octet = octets[position]
            position += 1
            if octet == _QUOTE:
                if not _is_escaped(octets, position - 1):
                    return position
            elif octet < _SPACE:
                return _UNDECIDED
    return _UNDECIDED


def _may_end(octets: bytes, position: int) -> int:
    """Tell whether a string may end, or be wrong, within a block; without a branch, to be wide."""
    found = 0
    for at in range(32):
        octet = octets[position + at]
        before = octets[position + at - 1]
        second = octets[position + at - 2]
        found |= octet < 0x20
        found |= (octet == 0x22) & ((before != 0x5C) | (second == 0x5C))
    return found


def _is_escaped(octets: bytes, position: int) -> bool:
    """Tell whether an odd number of backslashes stands before this."""
    start = position
    while octets[start - 1] == _BACKSLASH:
        start -= 1
    return (position - start) & 1 == 1


def after_key(octets: bytes, position: int, end: int) -> int:
    """Where a key's value begins: behind the colon and white space around it."""
    position = after_string(octets, position, end)
    if position < 0:
        return _UNDECIDED
    return after_colon(octets, position, end)


def after_colon(octets: bytes, position: int, end: int) -> int:
    """Where a value begins whose key has just ended."""
    position = after_space(octets, position, end)
    if position >= end or octets[position] != _COLON:
        return _UNDECIDED
    return after_space(octets, position + 1, end)


def after_scalar(octets: bytes, position: int, end: int) -> int:
    """Where a string, a number, true, false or null ends that begins here."""
    if position >= end:
        return _UNDECIDED
    if octets[position] == _QUOTE:
        return after_string(octets, position, end)
    if is_at(octets, position, end, _NULL) or is_at(octets, position, end, _TRUE):
        return position + len(_NULL)
    if is_at(octets, position, end, _FALSE):
        return position + len(_FALSE)
    return after_number(octets, position, end)


def after_number(octets: bytes, position: int, end: int) -> int:
    """Where a number ends that begins here (RFC 8259 section 6), and that a double can hold."""
    stop = min(end, position + _LONGEST_NUMBER)
    if position < stop and octets[position] == 0x2D:
        position += 1
    start = position
    position = _after_digits(octets, position, stop)
    if position == start or (octets[start] == _ZERO and position - start > 1):
        return _UNDECIDED
    if position < stop and octets[position] == 0x2E:
        start = position + 1
        position = _after_digits(octets, start, stop)
        if position == start:
            return _UNDECIDED
    if position < stop and octets[position] | 0x20 == 0x65:
        position += 1
        if position < stop and octets[position] in (0x2B, 0x2D):
            position += 1
        start = position
        position = _after_digits(octets, position, stop)
        if position == start or position - start > _LONGEST_EXPONENT:
            return _UNDECIDED
    return position if position < stop else _UNDECIDED


def _after_digits(octets: bytes, position: int, end: int) -> int:
    while position < end and _ZERO <= octets[position] <= _NINE:
        position += 1
    return position


def after_value(octets: bytes, position: int, end: int, deepest: int) -> int:
    """Where any value ends that begins here, with at most `deepest` levels (0 to 64) within."""
    objects = 0  # of each level a bit, the innermost the lowest: an object or a list
    depth = 0
    while 0 <= position < end:  # where a value begins, or an empty container ends
        opening = octets[position]
        if opening in (_OPENING_BRACE, _OPENING_BRACKET):
            if depth == deepest:
                break
            depth += 1
            objects = objects << 1 | (opening == _OPENING_BRACE)
            position = after_space(octets, position + 1, end)
            if position < end and octets[position] != _closing(objects):
                position = _next_value(octets, position, end, objects)
                continue
        else:
            position = after_scalar(octets, position, end)
        while position >= 0:
            if not depth:
                return position
            position = after_space(octets, position, end)
            if position >= end:
                break
            octet = octets[position]
            position += 1
            if octet == _COMMA:
                position = _next_value(octets, after_space(octets, position, end), end, objects)
                break
            if octet != _closing(objects):
                return _UNDECIDED
            objects >>= 1
            depth -= 1
    return _UNDECIDED


def _closing(objects: int) -> int:
    return _CLOSING_BRACE if objects & 1 else _CLOSING_BRACKET


def _next_value(octets: bytes, position: int, end: int, objects: int) -> int:
    """Where the next value begins: in an object behind its key."""
    return after_key(octets, position, end) if objects & 1 else position
