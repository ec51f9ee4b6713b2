"""Rows of sessions and places of caps, as Lua. Each script touches one slot, and few keys.

A place of a cap, and a row, belong to an owner (`app.state.owners`); nothing is renewed while
the owner lives. All of it expires after a day all the same, and owners write it again before.
"""

from __future__ import annotations

from typing import Final

from app.state.scripts import Script

# KEYS: counts of a cap by owner (the field '' is their sum), this owner's members, the mark of a
# session that must not take a place any more. ARGV: session, owner, cap (-1: take it whatever the
# cap), expiry in ms, set again when half of it has passed: a write is replicated, a look is not.
# Returns nothing, or the owners that hold places when the cap is full.
RESERVE: Final = Script(
    """
if redis.call('EXISTS', KEYS[3]) == 1 then return false end
local cap, all = tonumber(ARGV[3]), tonumber(redis.call('HGET', KEYS[1], '') or 0)
if cap >= 0 and all >= cap and redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 0 then
  return redis.call('HKEYS', KEYS[1])
end
local own = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or 0)
if redis.call('SADD', KEYS[2], ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], '', all + 1, ARGV[2], own + 1)
end
for i, held in ipairs({all, own}) do
  if held == 0 or redis.call('PTTL', KEYS[i]) < ARGV[4] / 2 then
    redis.call('PEXPIRE', KEYS[i], ARGV[4])
  end
end
return false
"""
)

# KEYS: as for RESERVE. ARGV: session, owner, for how many ms the session is marked (0: not at all).
RELEASE: Final = Script(
    """
if ARGV[3] ~= '0' then redis.call('SET', KEYS[3], '1', 'PX', ARGV[3]) end
if redis.call('SREM', KEYS[2], ARGV[1]) == 1 then
  if redis.call('HINCRBY', KEYS[1], ARGV[2], -1) <= 0 then redis.call('HDEL', KEYS[1], ARGV[2]) end
  if redis.call('HINCRBY', KEYS[1], '', -1) <= 0 then redis.call('DEL', KEYS[1]) end
end
return true
"""
)

# KEYS: counts of a cap by owner, then the members of each dead owner. ARGV: these owners.
DROP_OWNERS: Final = Script(
    """
for i, owner in ipairs(ARGV) do
  local held = tonumber(redis.call('HGET', KEYS[1], owner) or 0)
  redis.call('HDEL', KEYS[1], owner)
  redis.call('UNLINK', KEYS[i + 1])
  if held > 0 and redis.call('HINCRBY', KEYS[1], '', -held) <= 0 then
    redis.call('DEL', KEYS[1])
  end
end
return true
"""
)

# KEYS: row, the mark of a session that is gone, then indices. ARGV: session, row, expiry in ms.
PUT_ROW: Final = Script(
    """
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
for i = 3, #KEYS do redis.call('ZADD', KEYS[i], 0, ARGV[1]) end
return true
"""
)

# KEYS: as for PUT_ROW. ARGV: session, what the row holds if it is still this owner's, for how
# many ms the session is marked (0: not at all).
DELETE_ROW: Final = Script(
    """
if ARGV[3] ~= '0' then redis.call('SET', KEYS[2], '1', 'PX', ARGV[3]) end
local row = redis.call('GET', KEYS[1])
if row and not string.find(row, ARGV[2], 1, true) then return false end
redis.call('DEL', KEYS[1])
for i = 3, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
return true
"""
)
