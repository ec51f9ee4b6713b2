"""Reusable tokens, calls, approvals and sign-ins in the memory of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.protocol.web_token import TokenConflict
from app.state.expiring import ExpiringDict
from app.state.records import MAX_SIGN_INS, MAX_TOKENS, Records

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.web_token import TokenRecord

MAX_CALLS: Final = 100_000


class MemoryRecords(Records):
    """`clock` gives seconds that only grow; nothing survives the process."""

    def __init__(self, clock: Callable[[], float], *, max_tokens: int = MAX_TOKENS) -> None:
        self._max_tokens = max_tokens
        self._tokens: ExpiringDict[str, bytes] = ExpiringDict(clock)
        self._names: ExpiringDict[tuple[str, str], str] = ExpiringDict(clock)
        self._calls: ExpiringDict[str, bytes] = ExpiringDict(clock)
        self._sign_ins: ExpiringDict[str, bytes] = ExpiringDict(clock)
        self._approvals: ExpiringDict[str, bytes] = ExpiringDict(clock)

    async def add_token(self, token: TokenRecord) -> TokenConflict | None:
        """Store a token."""
        if (token.integration, token.name) in self._names:
            return TokenConflict.NAME
        if len(self._tokens) >= self._max_tokens:
            self._tokens.prune()
            if len(self._tokens) >= self._max_tokens:
                return TokenConflict.FULL
        self._tokens.put(token.key, token.payload, token.ttl)
        self._names.put((token.integration, token.name), token.key, token.ttl)
        return None

    async def find_token(self, key: str) -> bytes | None:
        """Return a valid token's payload."""
        return self._tokens.get(key)

    async def delete_token(self, key: str, integration: str, name: str) -> bool:
        """Delete a token and free its name."""
        if self._names.get((integration, name)) == key:
            self._names.pop((integration, name))
        return self._tokens.pop(key) is not None

    async def put_call(self, call_id: str, payload: bytes, ttl: float) -> None:
        """Keep what is known of a call; raise `StoreUnavailable` beyond `MAX_CALLS`."""
        if len(self._calls) >= MAX_CALLS and call_id not in self._calls:
            self._calls.prune()
            if len(self._calls) >= MAX_CALLS:
                raise StoreUnavailable("too many calls are remembered")
        self._calls.put(call_id, payload, ttl)

    async def find_call(self, call_id: str) -> bytes | None:
        """Return what is known of a call."""
        return self._calls.get(call_id)

    async def put_sign_in(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a sign-in; raise `StoreUnavailable` beyond `MAX_SIGN_INS`."""
        if len(self._sign_ins) >= MAX_SIGN_INS:
            self._sign_ins.prune()
            if len(self._sign_ins) >= MAX_SIGN_INS:
                raise StoreUnavailable("too many sign-ins are remembered")
        self._sign_ins.put(key, payload, ttl)

    async def find_sign_in(self, key: str) -> bytes | None:
        """Return a sign-in's payload."""
        return self._sign_ins.get(key)

    async def take_sign_in(self, key: str) -> bytes | None:
        """Return a sign-in's payload and forget it."""
        return self._sign_ins.pop(key)

    async def put_approval(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep an approval that is waited for."""
        self._approvals.prune()
        self._approvals.put(key, payload, ttl)

    async def delete_approval(self, key: str) -> None:
        """Forget it."""
        self._approvals.pop(key)

    async def approvals(self, most: int) -> list[bytes]:
        """Return those that are kept."""
        self._approvals.prune()
        found = [self._approvals.get(key) for key in self._approvals]
        return [payload for payload in found if payload is not None][:most]
