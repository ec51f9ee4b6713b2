"""Tickets in Redis: each redeemed by one claimant, whatever answers get lost."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.state.redis_client import milliseconds
from app.state.scripts import GIVE_BACK, TAKE

if TYPE_CHECKING:
    from app.state.keys import Keys
    from app.state.redis_client import RedisClient
    from app.state.retry_queue import RetryQueue

_GIVEN_UP_EXPIRY: Final = 330.0  # longer than any ticket lives


class RedisTickets:
    """Tickets expire by the clock of Redis."""

    def __init__(self, store: RedisClient, keys: Keys, retries: RetryQueue) -> None:
        self._store = store
        self._keys = keys
        self._retries = retries

    async def put(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a ticket."""
        await self._store.call(
            "put_ticket", "SET", self._keys.ticket(key), payload, "PX", milliseconds(ttl)
        )

    async def peek(self, key: str) -> bytes | None:
        """Return the payload of a ticket that is not redeemed."""
        payload: bytes | None
        payload, claim = await self._store.call(
            "peek_ticket", "MGET", self._keys.ticket(key), self._keys.claim(key)
        )
        return None if claim else payload

    async def take(self, key: str, claimant: str | None) -> bytes | None:
        """Redeem a ticket for one claimant. After `StoreUnavailable` it is given back."""
        claimant = claimant or secrets.token_hex(16)
        keys = self._keys
        names = (keys.ticket(key), keys.claim(key), keys.given_up(key, claimant))
        try:
            payload: bytes | None = await self._store.script(
                "take_ticket", TAKE, names, (claimant,)
            )
        except (StoreUnavailable, asyncio.CancelledError):
            self.give_back(key, claimant)
            raise
        return payload

    def give_back(self, key: str, claimant: str) -> None:
        """Give a ticket back with the next beat that Redis answers."""
        names = (self._keys.claim(key), self._keys.given_up(key, claimant))
        expiry = milliseconds(_GIVEN_UP_EXPIRY)
        give_back = ("EVAL", GIVE_BACK.text, len(names), *names, claimant, expiry)
        self._retries.add(f"ticket {claimant}", (give_back,))
