"""Forgetting what is old: in small bites, by one replica at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import delete, func, select, text

from app.backoff import jittered
from app.history.errors import HistoryUnavailable, Unstorable
from app.history.indexes import build_missing_indexes
from app.history.partitions import Partitions
from app.history.schema import conversations, deliveries, replicas

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database

log = structlog.get_logger(__name__)

DAY: Final = 86_400.0
LOCK: Final = 0x_B1ACB0C6
"""The advisory lock of the replica that deletes; SQLite has one writer anyway."""


class Retention:
    """Deletes conversations that ended, and events that were told of, more than `days` ago.

    `clock` is in Unix seconds. `every` is the time between two rounds, `bite` how many
    conversations one transaction deletes, `rest` the pause between two bites, in seconds.
    """

    def __init__(
        self,
        database: Database,
        days: float,
        clock: Callable[[], float],
        *,
        every: float = 3600.0,
        bite: int = 200,
        rest: float = 0.2,
        partitions: Partitions | None = None,
    ) -> None:
        self._database = database
        self._days = days
        self._clock = clock
        self._every = every
        self._bite = bite
        self._rest = rest
        self._partitions = partitions or Partitions(database, days)

    async def run(self) -> None:
        """Delete again and again until cancelled; never raises."""
        now = self._clock()
        await self._partitions.maintain(now, now - self._days * DAY)
        await build_missing_indexes(self._database)
        while True:
            await asyncio.sleep(jittered(self._every))
            try:
                deleted = await self.once()
            except (HistoryUnavailable, Unstorable) as error:
                log.warning("history_retention_failed", error=str(error))
            else:
                if deleted:
                    log.info("history_retention", conversations=deleted)

    async def once(self) -> int:
        """Delete all that is too old; return how many conversations. Raises `HistoryUnavailable`.

        A replica that finds another one at it leaves the work to that one.
        """
        now = self._clock()
        before = now - self._days * DAY
        await self._partitions.maintain(now, before)
        time = deliveries.c.created_at
        told = select(deliveries.c.id).where(time < before).order_by(time).limit(self._bite)
        await self._delete_all(deliveries, told)
        last = func.coalesce(conversations.c.ended_at, conversations.c.started_at)
        # An end comes after its start, so the index by start finds all that can be meant.
        old = (
            select(conversations.c.id)
            .where(conversations.c.started_at < before, last < before)
            .order_by(conversations.c.started_at)
            .limit(self._bite)
        )
        deleted = await self._delete_all(conversations, old)
        await self._partitions.drop(before)
        await self._forget_replicas(before)
        return deleted

    async def _forget_replicas(self, before: float) -> None:
        """Forget replicas that were last there before all that is left began."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(delete(replicas).where(replicas.c.seen_at < before))

        await self._database.run(work, write=True)

    async def _delete_all(self, table: Table, old: Select[Any]) -> int:
        """Delete the rows whose ids `old` finds, until it finds none; return how many."""
        deleted = 0
        while (bitten := await self._take_a_bite(table, old)) > 0:
            deleted += bitten
            await asyncio.sleep(self._rest)
        return deleted

    async def _take_a_bite(self, table: Table, old: Select[Any]) -> int:

        async def work(connection: AsyncConnection) -> int:
            if self._database.is_postgresql:
                lock = text("SELECT pg_try_advisory_xact_lock(:lock)")
                if not (await connection.execute(lock, {"lock": LOCK})).scalar():
                    return 0
            ids = list((await connection.execute(old)).scalars())
            if ids:  # given one by one: a join with the query might read the whole table
                await connection.execute(delete(table).where(table.c.id.in_(ids)))
            return len(ids)

        return await self._database.run(work, write=True)
