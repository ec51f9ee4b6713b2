"""Answered requests in Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.state.idempotency import Requests
from app.state.redis_client import milliseconds
from app.state.scripts import Script

if TYPE_CHECKING:
    from app.state.keys import Keys
    from app.state.redis_client import RedisClient

# KEYS: a request. ARGV: what is kept of it, its expiry in ms. (SET NX GET is of Redis 7.)
CLAIM_REQUEST: Final = Script(
    """
local kept = redis.call('GET', KEYS[1])
if kept then return kept end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
"""
)


class RedisRequests(Requests):
    """Requests expire by the clock of Redis."""

    def __init__(self, store: RedisClient, keys: Keys) -> None:
        self._store = store
        self._keys = keys

    async def claim(self, key: str, payload: bytes, ttl: float) -> bytes | None:
        """Keep a request unless it is known."""
        kept: bytes | None = await self._store.script(
            "claim_request",
            CLAIM_REQUEST,
            (self._keys.request(key),),
            (payload, milliseconds(ttl)),
        )
        return kept

    async def finish(self, key: str, payload: bytes, ttl: float) -> None:
        """Replace what is kept."""
        name = self._keys.request(key)
        await self._store.call("finish_request", "SET", name, payload, "PX", milliseconds(ttl))
