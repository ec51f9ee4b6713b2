"""The port to what replicas share besides sessions: tokens, calls, approvals, sign-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from app.protocol.web_token import TokenConflict, TokenRecord

MAX_TOKENS: Final = 100_000
"""Tokens that may be valid at once, over all agents."""

MAX_SIGN_INS: Final = 20_000
"""Sign-ins, begun or in force, that the memory of one process holds."""


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

    async def put_sign_in(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a sign-in at the console under `key` (a secret's hash) for `ttl` seconds."""
        ...

    async def find_sign_in(self, key: str) -> bytes | None:
        """Return a sign-in's payload; None once it has expired or was taken."""
        ...

    async def take_sign_in(self, key: str) -> bytes | None:
        """Return a sign-in's payload and forget it; of many callers one alone gets it."""
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
