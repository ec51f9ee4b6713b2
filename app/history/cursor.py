"""Opaque cursors: where the next page begins; their content is internal."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import orjson

from app.history.errors import InvalidCursor

LONGEST: Final = 1024


def encode(*key: float | str) -> str:
    """Make the cursor that stands after the row of this key."""
    return urlsafe_b64encode(orjson.dumps(key)).rstrip(b"=").decode()


def decode(cursor: str, *kinds: type) -> tuple[float | str, ...]:
    """Read a cursor back. Raises `InvalidCursor` unless it has exactly these kinds of parts."""
    try:
        if len(cursor) > LONGEST:
            raise InvalidCursor("This cursor is none of ours.")
        key = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise InvalidCursor("This cursor is none of ours.") from None
    if not isinstance(key, list) or [type(part) for part in key] != list(kinds):
        raise InvalidCursor("This cursor is none of ours.")
    return tuple(key)
