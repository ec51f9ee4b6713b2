"""`SessionRow` as JSON, so that replicas of two versions understand each other."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import orjson

from app.state.interface import SessionRow

_KNOWN: Final = frozenset(field.name for field in fields(SessionRow))


def encode_row(row: SessionRow, owner: str | None = None) -> bytes:
    """Write a row as one JSON object, with its owner (`app.state.owners`) where there is one."""
    document = orjson.dumps(row)
    return document if owner is None else b"%b,%b}" % (document[:-1], owner_member(owner))


def owner_member(owner: str) -> bytes:
    """What the JSON of an owner's row holds, and no other's: quotation marks are escaped in it."""
    return orjson.dumps({"owner": owner})[1:-1]


def decode_row(payload: bytes) -> SessionRow | None:
    """Read a row; fields that a newer replica added are skipped, and None is no row at all."""
    try:
        document = orjson.loads(payload)
        return SessionRow(**{name: value for name, value in document.items() if name in _KNOWN})
    except (orjson.JSONDecodeError, AttributeError, TypeError):
        return None


def owner_of(payload: bytes) -> str | None:
    """The owner of a row; None for one of a release that renewed each row's lease."""
    try:
        owner = orjson.loads(payload).get("owner")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return owner if isinstance(owner, str) else None
