"""Text that every database takes, and JSON of whatever a tool or an agent said."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from blackbox_relay import exact_json

LARGEST_VALUE: Final = 256 * 1024
"""Bytes of JSON kept of one event, or of one tool's arguments or result."""

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace what no database takes: NUL and lone surrogates."""
    if "\x00" not in text and (text.isascii() or _is_unicode(text)):
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def _is_unicode(text: str) -> bool:
    """Tell whether no lone surrogate is in a text; encoding looks at it faster than a pattern."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_json(value: object, largest: int | None = LARGEST_VALUE) -> str:
    """Encode a value, bounded. What JSON does not know becomes its string."""
    try:
        encoded = exact_json.dumps(value, _plain)
    except (TypeError, ValueError):  # surrogates, keys of other types, numbers without end
        try:
            encoded = json.dumps(value, default=_plain, skipkeys=True).encode()
        except (ValueError, TypeError, RecursionError):
            return "null"
    except RecursionError:
        return "null"
    return encoded.decode() if largest is None else bounded(encoded, largest)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, AbstractSet):
        return list(value)
    return str(value)


def bounded(encoded: bytes, largest: int = LARGEST_VALUE) -> str:
    """Decode JSON, or say how large it was where it is too large to be kept."""
    if len(encoded) > largest:
        return f'{{"tooLarge":{len(encoded)}}}'
    return encoded.decode()
