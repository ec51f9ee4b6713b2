"""Which owners of sessions live: one key with all heartbeats proves every session alive.

An owner is one life of a replica: its name, and a random part that changes when others have
taken it for dead. What an owner has registered (rows, places of caps) counts as long as it beats.
One that has not beaten for `lease` seconds, less what it takes to notice, is dead: the next
beat of any moves it to the dead, and the living sweep what it has left (`app.state.sweeper`).

When no owner at all has beaten for a while, the store was away, and none is taken for dead for
a lease from then on.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from app.protocol.errors import StoreUnavailable
from app.state.redis_client import milliseconds
from app.state.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from app.state.keys import Keys
    from app.state.redis_client import RedisClient

log = structlog.get_logger(__name__)

BEATS_PER_LEASE: Final = 10
DEAD_AFTER: Final = 0.8
"""Of a lease: the rest is for noticing it, and for the sweep."""

SILENCE: Final = 0.5
"""Of a lease: so long without a beat of any owner was an outage of the store."""

SWEPT_FOR: Final = 4.0
"""Leases for which a dead owner is swept again, for what its last commands left behind."""

MAX_BURIED: Final = 20
FORGOTTEN: Final = 2
_PARTS: Final = ("alive", "dead", "died", "last", "guard")

_NOW: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
"""

# KEYS: living owners by their last beat, dead ones by when they may be swept next, when each
# died (hash), the last beat of any, until when none is taken for dead. ARGV: owner, whether it is
# new, and in ms: when an owner is dead, how long a guard lasts, what silence sets one, how long a
# claim lasts; then how many owners are moved at most.
# Returns 0 if the owner is dead, 1, or 2 if the store had forgotten it; then an owner to sweep ('':
# none), and how long that has been dead.
BEAT_OWNER: Final = Script(
    _NOW
    + """
local last = tonumber(redis.call('GET', KEYS[4]) or nil)
if last and now - last > tonumber(ARGV[5]) then redis.call('SET', KEYS[5], now + ARGV[4]) end
redis.call('SET', KEYS[4], now)
local known = 1
if ARGV[2] ~= '1' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return {0, '', 0} end
  known = 2
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
if tonumber(redis.call('GET', KEYS[5]) or 0) > now then return {known, '', 0} end
local late = '(' .. (now - ARGV[3])
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', late, 'LIMIT', 0, ARGV[7])) do
  redis.call('ZREM', KEYS[1], owner)
  redis.call('ZADD', KEYS[2], now, owner)
  redis.call('HSET', KEYS[3], owner, now)
end
local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1)[1]
if not dead then return {known, '', 0} end
redis.call('ZADD', KEYS[2], now + ARGV[6], dead)
return {known, dead, now - (redis.call('HGET', KEYS[3], dead) or now)}
"""
)

# KEYS: as before. ARGV: who asks, in ms when an owner is dead, then owners.
# Returns whether who asks is known, then of each owner whether it is alive. One of which nothing is
# known may have been forgotten in a failover: it has as long to beat as if it had just done so.
LIVING: Final = Script(
    _NOW
    + """
local guarded = tonumber(redis.call('GET', KEYS[5]) or 0) > now
local reply = {redis.call('ZSCORE', KEYS[1], ARGV[1]) and 1 or 0}
for i = 3, #ARGV do
  local beat = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or nil)
  if not beat and not redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    redis.call('ZADD', KEYS[1], now, ARGV[i])
    beat = now
  end
  reply[#reply + 1] = beat and (guarded or now - beat <= tonumber(ARGV[2])) and 1 or 0
end
return reply
"""
)

# KEYS: as before. ARGV: a replica, how long the random part of an owner's name is, in ms when an
# owner is dead. Returns whether any life of the replica is not dead.
LIVES: Final = Script(
    _NOW
    + """
local guarded = tonumber(redis.call('GET', KEYS[5]) or 0) > now
local since = guarded and '-inf' or now - ARGV[3]
for _, owner in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], since, '+inf')) do
  if string.sub(owner, 1, -2 - ARGV[2]) == ARGV[1] then return 1 end
end
return 0
"""
)

# KEYS: as before. ARGV: an owner that has ended in order: what it left is swept at once.
END_OWNER: Final = Script(
    _NOW
    + """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('HSET', KEYS[3], ARGV[1], now)
end
return true
"""
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A dead owner that is this replica's to sweep for a while; `age` in seconds since it died."""

    owner: str
    age: float


class Owners:
    """The registry of owners, as replica `replica` sees it. `lease` is in seconds.

    `token` makes the part of an owner's name that changes from life to life.

    Beats go by `vital`, where nothing else stands in line; all else by `store`.
    """

    def __init__(
        self,
        store: RedisClient,
        vital: RedisClient,
        keys: Keys,
        replica: str,
        *,
        lease: float,
        is_doubtful: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        token: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self._store = store
        self._vital = vital
        self._keys = tuple(map(keys.owners, _PARTS))
        self._replica = replica
        self._is_doubtful = is_doubtful
        self._clock = clock
        self._token = token
        self._beaten = float("-inf")
        self._dead_after = milliseconds(lease * DEAD_AFTER)
        self._times = (
            self._dead_after,
            milliseconds(lease),
            milliseconds(lease * SILENCE),
            milliseconds(max(1.0, lease / 3)),
        )
        self._joined = False
        self._forgotten = False
        self._claim: Claim | None = None
        self.interval = lease / BEATS_PER_LEASE
        self.lease = lease
        self.me = self._new()

    async def join(self, operation: str) -> None:
        """Be known to the others before anything is registered. Raises `StoreUnavailable`."""
        if not self._joined:
            await self._beat(operation, is_new=True)
            self._joined = True

    async def beat(self) -> Claim | None:
        """Show that this owner lives; return a dead one to sweep. Raises `StoreUnavailable`.

        If the others have taken this one for dead, it is another one from now on, and registers all
        its sessions anew. If the store has forgotten it, see `was_forgotten`.
        """
        await self.join("beat")
        claim, self._claim = self._claim, None
        return await self._renew("beat") or claim

    async def confirm(self, operation: str) -> None:
        """Beat before sessions are published, so that they are this owner's as it is known now.

        Raises `StoreUnavailable`.
        """
        await self.join(operation)
        self._claim = await self._renew(operation) or self._claim

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next beat."""
        return self._clock() - self._beaten >= self.interval

    def was_forgotten(self) -> bool:
        """Whether the store had forgotten this owner since the last question."""
        forgotten, self._forgotten = self._forgotten, False
        return forgotten

    async def dead_among(self, operation: str, owners: Collection[str]) -> set[str]:
        """Return those that are dead; none where that is unknown. Raises `StoreUnavailable`."""
        asked = tuple(dict.fromkeys(owners))
        if not asked:
            return set()
        known, *living = await self._living(operation, asked)
        if not known or self._is_doubtful():
            return set()
        return {owner for owner, alive in zip(asked, living, strict=True) if not alive}

    async def lives(self, operation: str, replica: str) -> bool:
        """Say whether an owner of a replica's name has beaten within its lease, or may have.

        Raises `StoreUnavailable`.
        """
        args = (replica, len(self.me) - len(f"{self._replica}#"), self._dead_after)
        return bool(await self._store.script(operation, LIVES, self._keys, args))

    async def forget(self, owner: str) -> None:
        """Remove a dead owner that has left nothing. Raises `StoreUnavailable`."""
        _, dead, died, _, _ = self._keys
        await self._store.batch("sweep", [("ZREM", dead, owner), ("HDEL", died, owner)])

    async def end(self) -> None:
        """Be dead at once for the others."""
        if self._joined:
            try:
                await self._store.script("close", END_OWNER, self._keys, (self.me,))
            except StoreUnavailable:
                log.info("state_lost_at_close")

    async def _renew(self, operation: str) -> Claim | None:
        known, dead, age = await self._beat(operation, is_new=False)
        if known:
            self._forgotten = self._forgotten or known == FORGOTTEN
            return Claim(dead, age) if dead else None
        self.me = self._new()
        self._joined = False
        await self.join(operation)
        return None

    async def _beat(self, operation: str, *, is_new: bool) -> tuple[int, str, float]:
        args = (self.me, int(is_new), *self._times, MAX_BURIED)
        known, dead, age = await self._vital.script(operation, BEAT_OWNER, self._keys, args)
        self._beaten = self._clock()
        return int(known), dead.decode(), int(age) / 1000

    async def _living(self, operation: str, owners: tuple[str, ...]) -> list[int]:
        args: tuple[str | int, ...] = (self.me, self._dead_after, *owners)
        found: list[int] = await self._store.script(operation, LIVING, self._keys, args)
        return found

    def _new(self) -> str:
        return f"{self._replica}#{self._token()}"
