"""`SessionRow` as JSON, so that replicas of two versions understand each other."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import orjson

from app.state.interface import SessionRow

_KNOWN: Final = frozenset(field.name for field in fields(SessionRow))


def encode_row(row: SessionRow) -> bytes:
    """Write a row as one JSON object."""
    return orjson.dumps(row)


def decode_row(payload: bytes) -> SessionRow | None:
    """Read a row; fields that a newer replica added are skipped, and None is no row at all."""
    try:
        document = orjson.loads(payload)
        return SessionRow(**{name: value for name, value in document.items() if name in _KNOWN})
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        return None
