"""The port to what replicas share besides sessions: reusable tokens, calls, approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from app.protocol.web_token import TokenConflict, TokenRecord

MAX_TOKENS: Final = 100_000
"""Tokens that may be valid at once, over all agents."""


class Records(Protocol):
    """Every coroutine raises `StoreUnavailable` when the store does not answer in time."""

    async def add_token(self, token: TokenRecord) -> TokenConflict | None:
        """Store a token, unless its name is taken or `MAX_TOKENS` are valid; atomically.

        After `StoreUnavailable` the token is deleted by itself, so that its name is free again.
        """
        ...

    async def find_token(self, key: str) -> bytes | None:
        """Return a valid token's payload; None for one that is unknown, expired or deleted."""
        ...

    async def delete_token(self, key: str, integration: str, name: str) -> bool:
        """Delete a token and free its name; False if there was none."""
        ...

    async def put_call(self, call_id: str, payload: bytes, ttl: float) -> None:
        """Keep what is known of a call for `ttl` seconds; replaces what was kept before."""
        ...

    async def find_call(self, call_id: str) -> bytes | None:
        """Return what is known of a call; None once that has expired."""
        ...

    async def put_approval(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a tool call that waits for an approval, for `ttl` seconds."""
        ...

    async def delete_approval(self, key: str) -> None:
        """Forget it. Idempotent."""
        ...

    async def approvals(self, most: int) -> list[bytes]:
        """Return up to `most` of those that are kept."""
        ...
