"""The journal in Redis: one hash, from which each session is taken as soon as history has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.state.interface import Journal
from app.state.row_codec import decode_row, encode_row
from app.state.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from app.state.interface import SessionRow
    from app.state.keys import Keys
    from app.state.redis_client import RedisClient

MAX_NOTED: Final = 100_000
PER_TRIP: Final = 1000

# KEYS: the journal. ARGV: id, row, most entries.
PUT: Final = Script(
    """
if redis.call('HLEN', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return true
"""
)


class RedisJournal(Journal):
    """`alive` says whether a replica beats; it raises `StoreUnavailable` while that is unknown."""

    def __init__(
        self, store: RedisClient, keys: Keys, alive: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._store = store
        self._key = keys.journal
        self._alive = alive

    async def put(self, row: SessionRow) -> None:
        """Note that a session begins."""
        args = (row.id, encode_row(row), MAX_NOTED)
        await self._store.script("journal_put", PUT, (self._key,), args)

    async def settle(self, session_ids: Collection[str]) -> None:
        """Forget sessions."""
        ids = list(session_ids)
        for start in range(0, len(ids), PER_TRIP):
            some = ids[start : start + PER_TRIP]
            await self._store.call("journal_settle", "HDEL", self._key, *some)

    async def orphans(self) -> list[SessionRow]:
        """The noted sessions whose replica is dead, `PER_TRIP` or so of them at a time."""
        _, found = await self._store.call(
            "journal_orphans", "HSCAN", self._key, 0, "COUNT", PER_TRIP
        )
        payloads = found.values() if isinstance(found, dict) else found[1::2]
        rows = [row for payload in payloads if (row := decode_row(payload)) is not None]
        living: dict[str, bool] = {}
        for replica in {row.replica for row in rows}:
            try:
                living[replica] = await self._alive(replica)
            except StoreUnavailable:
                living[replica] = True
        return [row for row in rows if not living[row.replica]]
