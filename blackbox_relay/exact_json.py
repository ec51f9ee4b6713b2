"""JSON whose integers keep every digit, whatever their size.

orjson reads an integer beyond 64 bit as a double and refuses to write one; a number is an
identifier as often as a quantity, so neither will do for a tool's arguments and results. Whatever
orjson can hold exactly is left to it, and the rest goes through the standard library's parser.
RFC 8259 §6 allows numbers of any size; here an integer has at most 4300 digits, which is what
Python itself converts (`sys.get_int_max_str_digits`). Fractions are doubles.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DIGITS: Final = 4300
_TOO_LARGE: Final = 10**MAX_DIGITS
# A double holds every number of 15 significant digits; a run of 17 characters has at least 16.
_LONG: Final = re.compile(rb"[0-9][0-9.]{15}")
_EXPONENT: Final = re.compile(rb"[0-9][eE]\+?[0-9]{3}")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class NumberTooLarge(ValueError):  # noqa: N818 - what happened
    """A number has more digits than can be kept, or none that a double knows."""


def loads(document: bytes) -> Any:
    """Read JSON; raises ValueError, and NumberTooLarge where a number cannot be kept."""
    value, complete = _loads(document)
    if not complete:
        raise NumberTooLarge("a number has more digits than can be kept")
    return value


def loads_all(document: bytes) -> Any:
    """Read JSON; a number that cannot be kept is an infinity. Raises ValueError."""
    return _loads(document)[0]


def may_be_changed(document: bytes) -> bool:
    """Tell whether JSON may hold a number whose digits a double cannot keep."""
    return _LONG.search(document) is not None


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Write a value as JSON; NaN and infinities become null, as orjson writes them.

    Raises TypeError or ValueError for what is not JSON, NumberTooLarge, and RecursionError.
    """
    try:
        return fitted(orjson.dumps(value, default=default, option=orjson.OPT_NON_STR_KEYS))
    except TypeError:
        plain = _plain(value, default)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def fitted(encoded: bytes) -> bytes:
    """What orjson wrote, in as much memory as it needs: for what is kept.

    orjson writes into 4 KiB or more, and hands all of it over, however short the text is.
    """
    return bytes(memoryview(encoded))


def _loads(document: bytes) -> tuple[Any, bool]:
    """Return the value, and whether every number in it could be kept."""
    try:
        value = orjson.loads(document)
    except orjson.JSONDecodeError:
        # It refuses what no double can hold as it refuses what is not JSON.
        if _LONG.search(document) is None and _EXPONENT.search(document) is None:
            raise
    else:
        if _LONG.search(document) is None:
            return value, True
    complete = True

    def integer(text: str) -> int | float:
        nonlocal complete
        if len(text) - text.startswith("-") <= MAX_DIGITS:
            return int(text)
        complete = False
        return inf

    def fraction(text: str) -> int | float:
        nonlocal complete
        number = _fraction(text)
        complete = complete and (isinstance(number, int) or isfinite(number))
        return number

    try:
        value = json.loads(
            document.decode(), parse_int=integer, parse_float=fraction, parse_constant=_refuse
        )
        if _SURROGATE.search(document) is not None:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no Unicode
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value, complete


def _fraction(text: str) -> int | float:
    """Read a number with a point or an exponent: an integer where a double would change it."""
    value = float(text)
    try:
        exact = Decimal(text)
        if isfinite(value) and Decimal(repr(value)) == exact:
            return value
        if not exact.is_finite() or exact.adjusted() < 0:
            return value
        if exact.adjusted() < MAX_DIGITS and exact == exact.to_integral_value():
            return int(exact)
    except InvalidOperation:
        return value
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _plain(value: Any, default: Callable[[Any], Any] | None) -> Any:
    """Build what the standard library writes as orjson would."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if abs(value) >= _TOO_LARGE:
            raise NumberTooLarge("an integer has more digits than can be kept")
        return int(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item, default) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, default) for item in value]
    if default is None:
        raise TypeError("not JSON")
    return _plain(default(value), default)
