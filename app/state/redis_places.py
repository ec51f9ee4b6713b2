"""Places for upstream sessions in Redis: `PlaceTable`'s rules as one script, by Redis' clock."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.state.places import (
    MAX_ENTRIES,
    MAX_PROMOTED,
    TURN_TTL,
    PlaceBounds,
    PlaceChanges,
    PlaceReport,
    PlaceStatus,
    Standing,
)
from app.state.redis_client import RedisClient, milliseconds
from app.state.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from app.state.keys import Keys

UNBOUNDED: Final = -1
_STANDINGS: Final = (Standing.REFUSED, Standing.HELD, Standing.WAITING)
_PARTS: Final = ("held", "queue", "leases", "counter", "last", "guarded", "limit", "poller")

# KEYS: held and leases (entry → end of lease), queue (entry → number), the last number, when any
# replica was here last, the mark of a guard, the published limit, the mark of who looks at the
# vendor's figures.
# ARGV: lease and guard in ms, limit (-1: as published), longest queue, whether this replica has
# synchronized before, ms between looks (0: none), limit to publish ('': none), most places to
# give, prefix of a turn's key, expiry of turns in ms; then triples of an operation, an entry and an
# argument. An entry is a session's id, a blank, and its replica. Returns also the replicas whose
# entries were given places without having asked just now.
PLACES: Final = Script(
    """
local held, queue, leases, counter = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lease, guard, limit, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local last = tonumber(redis.call('GET', KEYS[5]) or nil)
local used = redis.call('ZCARD', held) + redis.call('ZCARD', queue) > 0
if (not last and ARGV[5] == '1') or (last and now - last > guard and used) then
  redis.call('SET', KEYS[6], '1', 'PX', guard)
end
redis.call('SET', KEYS[5], now)
local guarded = redis.call('EXISTS', KEYS[6]) == 1
if ARGV[7] ~= '' then redis.call('SET', KEYS[7], ARGV[7]) end
if limit < 0 then limit = tonumber(redis.call('GET', KEYS[7]) or -1) end
local bound = limit < 0 and math.huge or limit
if guarded then bound = 0 end

local function forget(entry)
  redis.call('ZREM', held, entry)
  redis.call('ZREM', queue, entry)
  redis.call('ZREM', leases, entry)
end
local given = {}
local function give(entry)
  forget(entry)
  redis.call('ZADD', held, now + lease, entry)
  given[entry] = true
end
local function promote()
  for _ = 1, ARGV[8] do
    if redis.call('ZCARD', held) >= bound then return end
    local first = redis.call('ZRANGE', queue, 0, 0)[1]
    if not first then return end
    if tonumber(redis.call('ZSCORE', leases, first) or 0) < now then forget(first) else give(first) end
  end
end
local function enter(entry, argument)
  if redis.call('ZSCORE', held, entry) then
    redis.call('ZADD', held, now + lease, entry)
    return
  end
  if not redis.call('ZSCORE', queue, entry) then
    local number = tonumber(argument) or 0
    if number == 0 and argument ~= '0' then
      local turn = ARGV[9] .. argument
      number = tonumber(redis.call('GET', turn) or 0)
      redis.call('DEL', turn)
    end
    if number == 0 then
      local waiting = redis.call('ZCARD', queue)
      if (waiting > 0 or redis.call('ZCARD', held) >= bound) and waiting >= longest then return end
      number = math.max(tonumber(redis.call('GET', counter) or 0) + 1, now)
      redis.call('SET', counter, number)
    elseif tonumber(redis.call('GET', counter) or 0) < number then
      redis.call('SET', counter, number)
    end
    redis.call('ZADD', queue, number, entry)
  end
  redis.call('ZADD', leases, now + lease, entry)
  if redis.call('ZCARD', held) < bound and redis.call('ZRANGE', queue, 0, 0)[1] == entry then
    give(entry)
  end
end

if not guarded then
  redis.call('ZREMRANGEBYSCORE', held, '-inf', '(' .. now)
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. now, 'LIMIT', 0, 200)) do
    forget(entry)
  end
end
-- All that are held, at once: the same as to forget each and to add it to those held.
local holding, names = {}, {}
for i = 11, #ARGV, 3 do
  if ARGV[i] == 'hold' then
    names[#names + 1] = ARGV[i + 1]
    holding[#holding + 1] = now + lease
    holding[#holding + 1] = ARGV[i + 1]
  end
end
local function hold_all()
  if #names == 0 then return end
  redis.call('ZREM', queue, unpack(names))
  redis.call('ZREM', leases, unpack(names))
  redis.call('ZADD', held, unpack(holding))
  names = {}
end
local promoted = false
for i = 11, #ARGV, 3 do
  local operation, entry, argument = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if operation == 'release' then
    forget(entry)
  elseif operation == 'keep' then
    redis.call('SET', ARGV[9] .. entry, argument, 'PX', ARGV[10])
  elseif operation == 'hold' then
    hold_all()
  else
    if not promoted then promote() end
    promoted = true
    enter(entry, argument)
  end
end
promote()

local woken = {}
local reply = {0, 0, limit, 0, woken}
for i = 11, #ARGV, 3 do
  if ARGV[i] == 'wait' then
    local entry = ARGV[i + 1]
    local number = redis.call('ZSCORE', queue, entry)
    if redis.call('ZSCORE', held, entry) then
      given[entry] = nil
      for _, value in ipairs({1, 0, 0}) do reply[#reply + 1] = value end
    elseif number then
      for _, value in ipairs({2, tonumber(number), redis.call('ZRANK', queue, entry) + 1}) do
        reply[#reply + 1] = value
      end
    else
      for _, value in ipairs({0, 0, 0}) do reply[#reply + 1] = value end
    end
  end
end
local owners = {}
for entry in pairs(given) do owners[string.match(entry, ' (.*)$')] = true end
for replica in pairs(owners) do woken[#woken + 1] = replica end
reply[1], reply[2] = redis.call('ZCARD', held), redis.call('ZCARD', queue)
local poll = tonumber(ARGV[6])
if poll > 0 and redis.call('SET', KEYS[8], '1', 'NX', 'PX', poll) then reply[4] = 1 end
return reply
"""  # noqa: E501 - one line where two would be read no better
)


class RedisPlaces:
    """The table of places of all replicas, as replica `replica` sees it.

    `lease` and `guard` are in seconds, see `PlaceTable`; `tell` sends a message to a
    replica's inbox.
    """

    def __init__(
        self,
        store: RedisClient,
        keys: Keys,
        replica: str,
        *,
        lease: float,
        guard: float,
        tell: Callable[[str, bytes], Awaitable[bool]],
    ) -> None:
        self._store = store
        self._replica = replica
        self._keys = tuple(map(keys.places, _PARTS))
        self._times = (milliseconds(lease), milliseconds(guard))
        self._turns = keys.turn("")
        self._tell = tell

    async def synchronize(self, bounds: PlaceBounds, changes: PlaceChanges) -> PlaceReport:
        """Carry changes out, at most `MAX_ENTRIES` of them. Raises `StoreUnavailable`."""
        operations = [part for triple in self._triples(changes) for part in triple]
        if len(operations) > 3 * MAX_ENTRIES:
            raise ValueError("too many entries for one synchronization")
        args = (
            *self._times,
            UNBOUNDED if bounds.limit is None else bounds.limit,
            bounds.queue,
            int(changes.beaten),
            milliseconds(changes.poll) if changes.poll > 0 else 0,
            "" if changes.publish is None else changes.publish,
            MAX_PROMOTED,
            self._turns,
            milliseconds(TURN_TTL),
            *operations,
        )
        reply = await self._store.script("places", PLACES, self._keys, args)
        held, waiting, limit, poll, woken = reply[:5]
        for replica in woken if changes.wake else ():
            # One that is not told, looks by itself a second later.
            with suppress(StoreUnavailable):
                await self._tell(replica.decode(), changes.wake)
        statuses = {
            waiter.id: PlaceStatus(_STANDINGS[reply[at]], reply[at + 1], reply[at + 2])
            for at, waiter in zip(range(5, len(reply), 3), changes.wait, strict=True)
        }
        return PlaceReport(
            statuses, held, waiting, None if limit == UNBOUNDED else limit, bool(poll)
        )

    def _triples(self, changes: PlaceChanges) -> Iterator[tuple[str, str, str | int]]:
        for session in changes.release:
            yield "release", self._entry(session), ""
        for waiter in changes.keep:
            yield "keep", waiter.turn, waiter.number
        for session in changes.hold:
            yield "hold", self._entry(session), ""
        for waiter in changes.wait:
            yield "wait", self._entry(waiter.id), waiter.number or waiter.turn or "0"

    def _entry(self, session: str) -> str:
        return f"{session} {self._replica}"
