"""Whether another replica lives, and whether what is missing in the store proves anything.

On one Redis an outage is everyone's: a replica that has just beaten may believe what it reads. The
nodes of a Redis Cluster fail one by one: another replica's mark of life may have run out while its
node was away, and a session's row may be lost with a primary, and this replica's own beats have
noticed nothing. There, whatever node was lost a while ago makes doubtful what is missing, a mark
must stay away for longer than a living replica takes to come back to its new node, and the owner
of the replica's sessions must be dead as well (`app.state.owners`): a replica that stands still,
or cannot reach the node of its mark, goes on with its sessions if it comes back within their lease.
The same holds behind Sentinels: an old primary that is started again takes the beats of a replica
that was told of it by a Sentinel that had missed the failover, until it is made a replica.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.state.heartbeat import ON

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.state.connector import Connector
    from app.state.heartbeat import Heartbeat
    from app.state.keys import Keys
    from app.state.owners import Owners
    from app.state.redis_client import RedisClient
    from app.state.redis_timings import Timings

CONFIRMED_AFTER: Final = 2.0
"""Lifetimes of a mark for which it must stay away in a Redis Cluster."""

LOOKS_PER_LIFE: Final = 6
LOOKS: Final = round(CONFIRMED_AFTER * LOOKS_PER_LIFE)
"""How often it must not be there: a replica that itself stood still has looked but once."""


class Liveness:
    """What replica `replica` believes of the others. `clock` gives seconds, and only grows."""

    def __init__(
        self,
        store: RedisClient,
        keys: Keys,
        replica: str,
        heartbeat: Heartbeat,
        connector: Connector,
        owners: Owners,
        *,
        timings: Timings,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._keys = keys
        self._marker = keys.marker(replica)
        self._heartbeat = heartbeat
        self._connector = connector
        self._owners = owners
        self._alive = timings.alive
        self._refill = timings.refill
        self._clock = clock
        self._losses = connector.losses
        self._doubt_until = float("-inf")

    def note_losses(self) -> None:
        """Doubt for a while what is missing, if a node was lost since the last time."""
        if self._connector.losses != self._losses:
            self._losses = self._connector.losses
            self._doubt_until = self._clock() + self._refill

    async def is_known_to_be_gone(self, operation: str, marked: bool) -> bool:
        """Whether what was missing is gone for good, and not only until owners report again.

        `marked` is what `Heartbeat.marked` was before it was looked for. Raises `StoreUnavailable`.
        """
        marker = await self._store.call(operation, "GET", self._marker)
        return not self._is_suspect(marked, marker)

    async def alive(self, replica: str) -> bool:
        """Say whether a replica beats; raise `StoreUnavailable` while that is unknown.

        On a Redis Cluster, and behind Sentinels, that is so until the lease of a replica's sessions
        is over.
        """
        looks = 0
        while True:
            marked = self._heartbeat.marked
            beat, marker = await self._store.run(
                "alive", [("GET", self._keys.replica(replica)), ("GET", self._marker)]
            )
            if beat is None and self._is_suspect(marked, marker):
                raise StoreUnavailable("alive: replicas have not reported again")
            looks += 1
            if beat is not None or not self._connector.fails_over:
                return bool(beat == ON)
            if looks > LOOKS:
                if await self._owners.lives("alive", replica):
                    raise StoreUnavailable("alive: no sign of life, but its lease is not over")
                return False
            await asyncio.sleep(self._alive / LOOKS_PER_LIFE)

    def _is_suspect(self, marked: bool, marker: bytes | None) -> bool:
        self.note_losses()
        in_doubt = marked and self._clock() < self._doubt_until
        return in_doubt or self._heartbeat.is_suspect(marked, marker)
