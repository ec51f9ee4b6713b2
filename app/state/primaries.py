"""Notices that another server has become a primary of the store, or that one was started again.

Redis replicates asynchronously: what a primary had acknowledged last may be missing at the one
that takes its place (Redis Cluster specification, "Write safety"). A server that becomes a primary,
or starts as one, takes a new replication id (`INFO replication`, `master_replid`): a look at these
ids tells whether writes may be lost, at the price of one command per primary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.state.redis_client import RedisClient


class Primaries:
    """The replication ids of the primaries that answered the last look."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._ids: frozenset[str] | None = None

    async def know(self) -> None:
        """Look for the first time, before anything is written that could be lost.

        Raises `StoreUnavailable`.
        """
        if self._ids is None:
            await self.have_changed()

    async def have_changed(self) -> bool:
        """Look; say whether a primary was seen that was none before. Raises `StoreUnavailable`."""
        reply = await self._store.call("audit", "INFO", "replication")
        before, self._ids = self._ids, replication_ids(reply)
        return before is not None and not self._ids <= before


def replication_ids(reply: Any) -> frozenset[str]:
    """The ids in the parsed reply of one server, or in those of several by their names."""
    several = [reply] if "master_replid" in reply else list(reply.values())
    return frozenset(str(facts["master_replid"]) for facts in several)
