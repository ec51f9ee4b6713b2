"""`SessionRow` as JSON, so that replicas of two versions understand each other."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Final

import orjson

from app.state.interface import SessionRow

_KNOWN: Final = frozenset(field.name for field in fields(SessionRow))
# What lists are filtered by is looked for in the JSON itself (`app.state.row_filter`).
_ALWAYS: Final = ("id", "replica", "agent", "call_type", "subject", "phase", "wants_human")
_DEFAULTS: Final = {
    field.name: MISSING if field.name in _ALWAYS else field.default for field in fields(SessionRow)
}


def encode_row(row: SessionRow, owner: str | None = None) -> bytes:
    """Write a row as one JSON object, with its owner (`app.state.owners`) where there is one.

    Values that are defaults are left out: of a session that has just begun, half of the row.
    """
    told = {
        name: value
        for name, default in _DEFAULTS.items()
        if (value := getattr(row, name)) != default
    }
    document = orjson.dumps(told)
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
