"""What a reusable token is to the shared store."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A reusable token: `key` is its hash, `name` is unique within its `integration`.

    `ttl` is in seconds from now. `payload` holds neither the token nor anything secret.
    """

    key: str
    integration: str
    name: str
    payload: bytes
    ttl: float


class TokenConflict(StrEnum):
    """Why a token was not stored."""

    NAME = "name"
    FULL = "full"
