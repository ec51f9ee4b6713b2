"""Removes what dead owners have registered, in small steps, shared among the living.

The notes of a dead owner say what it held. They are removed last, so that another replica goes
on where one has stopped.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from app.protocol.errors import StoreUnavailable
from app.state.owners import SWEPT_FOR
from app.state.registration import Registrations, pairs

if TYPE_CHECKING:
    from app.state.keys import Keys
    from app.state.owners import Claim, Owners
    from app.state.redis_client import RedisClient
    from app.state.registration import Registration
    from app.state.removals import Removals

log = structlog.get_logger(__name__)

SESSIONS_PER_STEP: Final = 100
MAX_CLAIMS: Final = 16


class Sweeper:
    """Sweeps the owners that this replica has claimed, while `run` runs."""

    def __init__(self, store: RedisClient, keys: Keys, owners: Owners, removals: Removals) -> None:
        self._store = store
        self._keys = keys
        self._owners = owners
        self._removals = removals
        self._make = Registrations(keys)
        self._claims: asyncio.Queue[Claim] = asyncio.Queue(MAX_CLAIMS)

    def claim(self, claim: Claim) -> None:
        """Sweep an owner soon; another replica does it if too many wait here."""
        if not self._claims.full():
            self._claims.put_nowait(claim)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            claim = await self._claims.get()
            try:
                await self.sweep(claim)
            except StoreUnavailable:
                continue  # it is claimed again

    async def sweep(self, claim: Claim) -> None:
        """Remove all that a dead owner has left. Raises `StoreUnavailable`."""
        count = 0
        while swept := await self._step(claim.owner):
            count += swept
        if count:
            log.warning("dead_replica_swept", owner=claim.owner, sessions=count)
        elif claim.age > SWEPT_FOR * self._owners.lease:
            await self._owners.forget(claim.owner)

    async def _step(self, owner: str) -> int:
        noted = (await self._noted(owner))[:SESSIONS_PER_STEP]
        if noted:
            await self._removals.remove(noted, "sweep", final=False)
        return len(noted)

    async def _noted(self, owner: str) -> list[Registration]:
        """Some of what an owner has noted; nothing only if there is nothing left."""
        cursor = 0
        while True:
            cursor, fields = await self._store.call(
                "sweep", "HSCAN", self._keys.held(owner), cursor, "COUNT", SESSIONS_PER_STEP
            )
            noted = [self._make.noted(key, owner, note) for key, note in pairs(fields)]
            if noted or not int(cursor):
                return noted
