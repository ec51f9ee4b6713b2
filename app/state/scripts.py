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

# KEYS: the replica's mark of life. ARGV: sign-off, expiry in ms.
# A beat that is overtaken by its own replica's sign-off changes nothing. One key alone: a script
# of several is refused (TRYAGAIN) while a Redis Cluster moves their slot.
BEAT: Final = Script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('SET', KEYS[1], 'on', 'PX', ARGV[2])
end
return true
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
