"""What must happen in Redis at once, as Lua. Leases end by the clock of Redis alone.

Effects are replicated, so that `TIME` may be read before a write (Redis 5 and later).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the name under which Redis remembers it."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest)


# One `now` for a row and its caps, so that they run out together.
_REGISTER: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function register(row, index, subject, address, id, json, lease)
  redis.call('SET', row, json, 'PXAT', now + lease)
  redis.call('ZADD', index, 0, id)
  for _, group in ipairs({subject, address}) do
    redis.call('ZADD', group, now + lease, id)
    redis.call('PEXPIREAT', group, now + lease)
  end
end
"""

# KEYS: row, index, subject, address, then the marks by which its credential may be revoked.
# ARGV: id, json, lease in ms, cap of subject, cap of address.
ENTER: Final = Script(
    _REGISTER
    + """
for i = 5, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 'revoked' end
end
for i, name in ipairs({'subject', 'address'}) do
  local group = KEYS[2 + i]
  redis.call('ZREMRANGEBYSCORE', group, '-inf', '(' .. now)
  local others = redis.call('ZCARD', group)
  if redis.call('ZSCORE', group, ARGV[1]) then others = others - 1 end
  if others >= tonumber(ARGV[3 + i]) then return name end
end
register(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1], ARGV[2], tonumber(ARGV[3]))
return false
"""
)

# KEYS: index, then row, subject, address of each session. ARGV: lease in ms, then id, json of each.
REFRESH: Final = Script(
    _REGISTER
    + """
local lease = tonumber(ARGV[1])
for i = 0, (#KEYS - 1) / 3 - 1 do
  local k = 2 + 3 * i
  register(KEYS[k], KEYS[1], KEYS[k + 1], KEYS[k + 2], ARGV[2 + 2 * i], ARGV[3 + 2 * i], lease)
end
return true
"""
)

# KEYS: ticket, its claim, the mark of a claimant that gave up. ARGV: claimant.
# A ticket is its first claimant's, who may ask again. The claim outlives the ticket.
TAKE: Final = Script(
    """
local payload = redis.call('GET', KEYS[1])
if not payload or redis.call('EXISTS', KEYS[3]) == 1 then return false end
local holder = redis.call('GET', KEYS[2])
if not holder then
  local left = math.max(0, redis.call('PTTL', KEYS[1]))
  redis.call('SET', KEYS[2], ARGV[1], 'PX', left + 1000)
elseif holder ~= ARGV[1] then
  return false
end
return payload
"""
)

# KEYS: a ticket's claim, the mark of a claimant that gave up. ARGV: claimant, the mark's expiry.
# The mark stops a TAKE that Redis had received, and carries out later.
GIVE_BACK: Final = Script(
    """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
return true
"""
)

# KEYS: index. ARGV: cursor or '', limit, the prefix of rows, how many rows are looked at, what a
# row's JSON in lower case holds, and what it holds as it is. Forgets ids whose lease has run out.
PAGE: Final = Script(
    """
local from = '-'
if ARGV[1] ~= '' then from = '(' .. ARGV[1] end
local limit, scan = tonumber(ARGV[2]), tonumber(ARGV[4])
local ids = redis.call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, scan + 1)
local more = #ids > scan
if more then table.remove(ids) end
local function fits(row)
  for i = 6, #ARGV do
    if not string.find(row, ARGV[i], 1, true) then return false end
  end
  return ARGV[5] == '' or string.find(string.lower(row), ARGV[5], 1, true)
end
local rows, last = {}, ''
for at, id in ipairs(ids) do
  local row = redis.call('GET', ARGV[3] .. id)
  last = id
  if not row then
    redis.call('ZREM', KEYS[1], id)
  elseif fits(row) then
    rows[#rows + 1] = row
    if #rows == limit and at < #ids then
      more = true
      break
    end
  end
end
return {more and last or '', rows, redis.call('ZCARD', KEYS[1])}
"""
)

# KEYS: a tenant's sessions, by the end of their leases. ARGV: as for PAGE.
# They are as many as the tenant may have at once.
PAGE_OF_LEASES: Final = Script(
    """
local ids = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(ids)
local rows, last, more = {}, '', false
for _, id in ipairs(ids) do
  if id > ARGV[1] then
    local row = redis.call('GET', ARGV[3] .. id)
    if row then
      if #rows == tonumber(ARGV[2]) then more = true break end
      rows[#rows + 1] = row
      last = id
    end
  end
end
return {more and last or '', rows, #ids}
"""
)

# KEYS: the replica's mark of life, the marker. ARGV: sign-off, expiries of both in ms.
# A beat that is overtaken by its own replica's sign-off changes nothing.
BEAT: Final = Script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('SET', KEYS[1], 'on', 'PX', ARGV[2])
end
return redis.call('PEXPIRE', KEYS[2], ARGV[3])
"""
)

# KEYS: the replica's mark of life, its inbox. ARGV: longest inbox, its expiry in ms, message.
TELL: Final = Script(
    """
if redis.call('GET', KEYS[1]) ~= 'on' then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', 'm', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
"""
)
