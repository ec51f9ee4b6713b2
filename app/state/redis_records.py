"""Reusable tokens, calls, approvals and sign-ins in Redis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.protocol.web_token import TokenConflict
from app.state.records import MAX_TOKENS, Records
from app.state.redis_client import milliseconds
from app.state.scripts import Script

if TYPE_CHECKING:
    from app.protocol.web_token import TokenRecord
    from app.state.keys import Keys
    from app.state.redis_client import Command, RedisClient
    from app.state.retry_queue import RetryQueue

# KEYS: token, its name, index of all tokens. ARGV: key, payload, ttl in ms, most tokens.
ADD_TOKEN: Final = Script(
    """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if redis.call('EXISTS', KEYS[2]) == 1 then return 'name' end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[4]) then return 'full' end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
redis.call('ZADD', KEYS[3], now + ARGV[3], ARGV[1])
return false
"""
)

# KEYS: token, its name, index of all tokens. ARGV: key. A name of another token stays taken.
DELETE_TOKEN: Final = Script(
    """
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
redis.call('ZREM', KEYS[3], ARGV[1])
return redis.call('DEL', KEYS[1])
"""
)


# KEYS: approval, index of all approvals. ARGV: key, payload, ttl in ms.
PUT_APPROVAL: Final = Script(
    """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
"""
)

# KEYS: index of all approvals. ARGV: how many. What has expired leaves the index.
LIST_APPROVALS: Final = Script(
    """
local t = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', t[1] * 1000 + math.floor(t[2] / 1000))
return redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
"""
)

# KEYS: approval, index of all approvals. ARGV: key.
DELETE_APPROVAL: Final = Script(
    """
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1])
"""
)


class RedisRecords(Records):
    """Tokens expire by the clock of Redis; their number is bounded over all replicas."""

    def __init__(
        self, store: RedisClient, keys: Keys, retries: RetryQueue, *, max_tokens: int = MAX_TOKENS
    ) -> None:
        self._store = store
        self._keys = keys
        self._retries = retries
        self._max_tokens = max_tokens

    async def add_token(self, token: TokenRecord) -> TokenConflict | None:
        """Store a token; one whose answer was lost is deleted as soon as Redis answers again."""
        names = self._names(token.key, token.integration, token.name)
        args = (token.key, token.payload, milliseconds(token.ttl), self._max_tokens)
        try:
            reply: bytes | None = await self._store.script("add_token", ADD_TOKEN, names, args)
        except (StoreUnavailable, asyncio.CancelledError):
            undo: Command = ("EVAL", DELETE_TOKEN.text, len(names), *names, token.key)
            self._retries.add(f"token {token.key}", (undo,))
            raise
        return None if reply is None else TokenConflict(reply.decode())

    async def find_token(self, key: str) -> bytes | None:
        """Return a valid token's payload."""
        payload: bytes | None = await self._store.call("find_token", "GET", self._keys.token(key))
        return payload

    async def delete_token(self, key: str, integration: str, name: str) -> bool:
        """Delete a token and free its name."""
        names = self._names(key, integration, name)
        deleted: int = await self._store.script("delete_token", DELETE_TOKEN, names, (key,))
        return bool(deleted)

    async def put_call(self, call_id: str, payload: bytes, ttl: float) -> None:
        """Keep what is known of a call."""
        name = self._keys.call(call_id)
        await self._store.call("put_call", "SET", name, payload, "PX", milliseconds(ttl))

    async def find_call(self, call_id: str) -> bytes | None:
        """Return what is known of a call."""
        payload: bytes | None = await self._store.call("find_call", "GET", self._keys.call(call_id))
        return payload

    async def put_sign_in(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a sign-in."""
        name = self._keys.sign_in(key)
        await self._store.call("put_sign_in", "SET", name, payload, "PX", milliseconds(ttl))

    async def find_sign_in(self, key: str) -> bytes | None:
        """Return a sign-in's payload."""
        name = self._keys.sign_in(key)
        payload: bytes | None = await self._store.call("find_sign_in", "GET", name)
        return payload

    async def take_sign_in(self, key: str) -> bytes | None:
        """Return a sign-in's payload and forget it, in one command (Redis 6.2)."""
        name = self._keys.sign_in(key)
        payload: bytes | None = await self._store.call("take_sign_in", "GETDEL", name)
        return payload

    async def put_approval(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep an approval that is waited for; what has expired leaves the index."""
        names = (self._keys.approval(key), self._keys.approvals)
        args = (key, payload, milliseconds(ttl))
        await self._store.script("put_approval", PUT_APPROVAL, names, args)

    async def delete_approval(self, key: str) -> None:
        """Forget it."""
        names = (self._keys.approval(key), self._keys.approvals)
        await self._store.script("delete_approval", DELETE_APPROVAL, names, (key,))

    async def approvals(self, most: int) -> list[bytes]:
        """Return those that have not expired."""
        index = (self._keys.approvals,)
        keys: list[bytes] = await self._store.script("approvals", LIST_APPROVALS, index, (most,))
        if not keys:
            return []
        names = [self._keys.approval(key.decode()) for key in keys]
        found: list[bytes | None] = await self._store.call("approvals", "MGET", *names)
        return [payload for payload in found if payload is not None]

    def _names(self, key: str, integration: str, name: str) -> tuple[str, str, str]:
        keys = self._keys
        return keys.token(key), keys.token_name(integration, name), keys.token_index
