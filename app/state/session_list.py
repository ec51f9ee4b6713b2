"""Pages of live sessions, from the shards of the index, in the order of ids.

How many there are is the sum of the shards' sizes: nothing is scanned for it. A page reads the
rows of the shards that follow its cursor, and no more of them than it needs. A filter that few rows
fit ends its page by time, short or empty, with a cursor that leads on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from app.state.interface import Page, SessionRow
from app.state.redis_client import ScriptCall
from app.state.row_codec import decode_row
from app.state.row_filter import MAX_SCANNED, PAGE_TIME, SCAN
from app.state.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.state.keys import Keys
    from app.state.redis_client import RedisClient
    from app.state.row_filter import RowFilter

MAX_PAGE: Final = 1_000

# KEYS: an index of a shard. ARGV: cursor or '', limit, the prefix of the shard's rows, how many
# rows are looked at, what a row's JSON in lower case holds, and what it holds as it is. Forgets ids
# without a row.
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
local rows = {}
for first = 1, #ids, 100 do
  local names = {}
  for at = first, math.min(first + 99, #ids) do names[#names + 1] = ARGV[3] .. ids[at] end
  for offset, row in ipairs(redis.call('MGET', unpack(names))) do
    local at = first + offset - 1
    if not row then
      redis.call('ZREM', KEYS[1], ids[at])
    elseif fits(row) then
      rows[#rows + 1] = row
      if #rows == limit and at < #ids then return {ids[at], rows} end
    end
  end
end
return {more and ids[#ids] or '', rows}
"""
)


class SessionList:
    """Lists the sessions of all replicas: a tenant's alone, or all.

    `clock` gives seconds, and only grows.
    """

    def __init__(
        self, store: RedisClient, keys: Keys, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def page(
        self, cursor: str | None, limit: int, only: RowFilter | None, tenant: str | None
    ) -> Page:
        """Read a page of at most `MAX_PAGE` rows.

        A filter looks at `MAX_SCANNED` of them, and begins no step after `PAGE_TIME` seconds.
        Raises `StoreUnavailable`.
        """
        began = self._clock()
        limit = min(max(1, limit), MAX_PAGE)
        shards = range(self._keys.shards)
        sizes = await self._store.run(
            "sessions", [("ZCARD", self._index(shard, tenant)) for shard in shards]
        )
        total = sum(sizes)
        rows: list[SessionRow] = []
        looked = 0
        shard = 0 if cursor is None else self._keys.shard(cursor)
        while shard < len(shards):
            asked = list(self._shards_for(limit - len(rows), shard, sizes, filtered=bool(only)))
            if not asked:
                break
            calls = [
                self._call(each, tenant, cursor or "", limit - len(rows), only) for each in asked
            ]
            replies = await self._store.run("sessions", calls)
            looked += min(sum(sizes[each] for each in asked), SCAN * len(asked))
            for at, (each, (following, payloads)) in enumerate(zip(asked, replies, strict=True)):
                found = _fitting(payloads, only, tenant)
                room = limit - len(rows)
                rows += found[:room]
                is_last = at == len(asked) - 1 and not self._follows(each, sizes)
                if len(found) > room or (len(rows) >= limit and (following or not is_last)):
                    return Page(tuple(rows), rows[-1].id, total)
                if following:
                    # The rest of this shard comes first; what later ones gave is read again.
                    shard, cursor = each, following.decode()
                    break
            else:
                shard = asked[-1] + 1
                cursor = self._keys.first_of(shard) if shard < len(shards) else None
            if only:
                is_over = looked >= MAX_SCANNED or self._clock() - began >= PAGE_TIME
            else:
                is_over = len(rows) >= limit
            if cursor is not None and is_over:
                return Page(tuple(rows), cursor, total)
        return Page(tuple(rows), None, total)

    def _shards_for(
        self, wanted: int, first: int, sizes: Sequence[int], *, filtered: bool
    ) -> Iterator[int]:
        """The shards that are read at once: as many as hold what is wanted, empty ones left out."""
        held = 0
        for shard in range(first, len(sizes)):
            if sizes[shard]:
                yield shard
                held += sizes[shard]
                if held >= (SCAN if filtered else wanted):
                    return

    def _follows(self, shard: int, sizes: Sequence[int]) -> bool:
        return any(sizes[shard + 1 :])

    def _index(self, shard: int, tenant: str | None) -> str:
        keys = self._keys
        return keys.index(shard) if tenant is None else keys.tenant_index(tenant, shard)

    def _call(
        self, shard: int, tenant: str | None, cursor: str, limit: int, only: RowFilter | None
    ) -> ScriptCall:
        scan = SCAN if only else limit
        filtering: tuple[Any, ...] = (only.searched(), *only.needles()) if only else (b"",)
        args = (cursor, limit, self._keys.row_prefix(shard), scan, *filtering)
        return ScriptCall(PAGE, (self._index(shard, tenant),), args)


def _fitting(
    payloads: Sequence[bytes], only: RowFilter | None, tenant: str | None
) -> list[SessionRow]:
    rows = (decode_row(payload) for payload in payloads)
    return [
        row
        for row in rows
        if row is not None
        and (not only or only.fits(row))
        and (tenant is None or row.tenant == tenant)
    ]
