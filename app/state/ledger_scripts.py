"""The ledger of tenants as scripts: each runs on a tenant's three keys, by Redis' clock."""

from __future__ import annotations

from typing import Final

from app.state.scripts import Script
from app.state.tenant_ledger import WARNINGS

# KEYS: sessions (id → end of lease), admissions (id → when), budgets (fields of both periods).
# ARGV: the time in ms ('': Redis' own), budgets of day and month in ms (-1: none), the prefix of
# what each session has reported, how long that is kept in ms.
_PRELUDE: Final = """
local sessions, starts, budget = KEYS[1], KEYS[2], KEYS[3]
local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local limits = {day = tonumber(ARGV[2]), month = tonumber(ARGV[3])}
local prefix, ttl = ARGV[4], ARGV[5]
local DAY = 86400000
local today = math.floor(now / DAY)

-- The Gregorian month and the day within it, from days since 1970-01-01 (proleptic, in eras of
-- 400 years that begin on 1 March).
local function calendar(day)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local leap = math.floor(doe / 1460) - math.floor(doe / 36524) + math.floor(doe / 146096)
  local yoe = math.floor((doe - leap) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return year * 12 + month - 1, doy - math.floor((153 * mp + 2) / 5)
end
local month, day_of_month = calendar(today)
local current = {day = today, month = month}
local began = {day = today * DAY, month = (today - day_of_month) * DAY}

local function roll()
  for period, number in pairs(current) do
    if tonumber(redis.call('HGET', budget, period) or -1) ~= number then
      redis.call('HSET', budget, period, number, period .. '_used', 0)
      redis.call('HDEL', budget, period .. '_over', period .. '_reported')
    end
  end
  redis.call('PEXPIRE', budget, 40 * DAY)
end
-- Whether the budget is used up, and what was reported of it; `report` marks that as told.
local function settle(period, report)
  local used, limit = tonumber(redis.call('HGET', budget, period .. '_used')), limits[period]
  local before = tonumber(redis.call('HGET', budget, period .. '_reported') or 0)
  local reported = 0
  if limit >= 0 then
    for _, percent in ipairs({__WARNINGS__}) do
      if used >= limit * percent / 100 then reported = percent end
    end
  end
  if limit >= 0 and used >= limit then
    redis.call('HSETNX', budget, period .. '_over', now)
  else
    redis.call('HDEL', budget, period .. '_over')
  end
  if report then redis.call('HSET', budget, period .. '_reported', reported) end
  local over = redis.call('HGET', budget, period .. '_over')
  return used, over and tonumber(over) or -1, before, reported
end
-- Add what is new in what sessions have lasted; `known` is what they have reported, or false.
local function add(ids, spent, known, mark)
  local total = {day = 0, month = 0}
  for i, id in ipairs(ids) do
    local before = known[i] and tonumber((known[i]:gsub('^left:', ''))) or 0
    local delta = math.max(0, spent[i] - before)
    for period in pairs(current) do
      total[period] = total[period] + math.min(delta, now - began[period])
    end
    if delta > 0 or not known[i] or mark ~= '' then
      local value = string.format('%d', math.max(before, spent[i]))
      redis.call('SET', prefix .. id, mark .. value, 'PX', ttl)
    end
  end
  for period, more in pairs(total) do
    if more > 0 then
      redis.call('HINCRBY', budget, period .. '_used', string.format('%d', more))
    end
  end
end
local function reported(ids)
  local names = {}
  for i, id in ipairs(ids) do names[i] = prefix .. id end
  return redis.call('MGET', unpack(names))
end
roll()
""".replace("__WARNINGS__", ", ".join(map(str, WARNINGS)))

# ARGV: id, lease in ms, most sessions, most admissions in a window (-1: any), that window in ms.
# Returns why not ('': it may begin), ms until another try, the time.
ENTER: Final = Script(
    _PRELUDE
    + """
local id, lease, most = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local rate, window = tonumber(ARGV[9]), tonumber(ARGV[10])
local _, month_over = settle('month')
if month_over >= 0 then return {'budget_month', 0, now} end
local _, day_over = settle('day')
if day_over >= 0 then return {'budget_day', 0, now} end
redis.call('ZREMRANGEBYSCORE', sessions, '-inf', '(' .. now)
local others = redis.call('ZCARD', sessions)
if redis.call('ZSCORE', sessions, id) then others = others - 1 end
if most >= 0 and others >= most then return {'tenant_sessions', 5000, now} end
if rate >= 0 then
  redis.call('ZREM', starts, id)
  redis.call('ZREMRANGEBYSCORE', starts, '-inf', now - window)
  local count = redis.call('ZCARD', starts)
  if count >= rate then
    local first = redis.call('ZRANGE', starts, count - rate, count - rate, 'WITHSCORES')[2]
    return {'tenant_rate', (first and tonumber(first) or now) + window - now, now}
  end
  redis.call('ZADD', starts, now, id)
  redis.call('PEXPIRE', starts, window + 1000)
end
redis.call('ZADD', sessions, now + lease, id)
redis.call('PEXPIRE', sessions, lease)
return {'', 0, now}
"""
)

# ARGV: lease in ms, then id and ms of each session.
ACCOUNT: Final = Script(
    _PRELUDE
    + """
local lease = tonumber(ARGV[6])
local named, ids, spent, kept, leases = {}, {}, {}, {}, {}
for i = 7, #ARGV, 2 do named[#named + 1] = ARGV[i] end
if #named > 0 then
  for i, known in ipairs(reported(named)) do
    if not (known and known:sub(1, 5) == 'left:') then
      ids[#ids + 1] = named[i]
      kept[#kept + 1] = known
      spent[#spent + 1] = tonumber(ARGV[6 + 2 * i])
      leases[#leases + 1] = now + lease
      leases[#leases + 1] = named[i]
    end
  end
end
if #ids > 0 then
  redis.call('ZADD', sessions, unpack(leases))
  add(ids, spent, kept, '')
end
redis.call('PEXPIRE', sessions, lease)
return {now, {settle('day', true)}, {settle('month', true)}}
"""
)

# ARGV: id, its ms.
LEAVE: Final = Script(
    _PRELUDE
    + """
redis.call('ZREM', sessions, ARGV[6])
add({ARGV[6]}, {tonumber(ARGV[7])}, reported({ARGV[6]}), 'left:')
return true
"""
)
