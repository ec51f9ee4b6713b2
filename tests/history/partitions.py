"""Helpers for PostgreSQL's partitions: which there are, who uses them, and what is in them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Self

from sqlalchemy import text as sql

from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.store import Store
from tests.history.feed import QUICK, found

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database


async def tables_of(database: Database, parent: str) -> set[str]:
    query = (
        f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{parent}'::regclass"  # noqa: S608
    )
    return {row[0] for row in await found(database, sql(query))}


async def places_of(database: Database, conversation_id: str) -> set[str]:
    """The tables in which a conversation's turns are."""
    query = sql(
        "SELECT tableoid::regclass::text FROM partitioned_turns WHERE conversation_id = :id"
    )
    return {row[0] for row in await found(database, query.bindparams(id=conversation_id))}


async def execute(database: Database, statement: str) -> None:
    await database.run(lambda c: c.execute(sql(statement)), write=True)


async def transcript(database: Database, name: str) -> list[tuple[str, str | None, int]]:
    page = await HistoryReader(database, nobody).transcript(name)
    return [(turn.source, turn.text, turn.pieces) for turn in page.items]


async def nobody(_: str, __: str | None) -> frozenset[str]:
    return frozenset()


def recorder_on(database: Database) -> QueueRecorder:
    return QueueRecorder(QUICK, time.monotonic, Store(database))


class Holding:
    """Another connection that holds what a statement takes, until it is let go."""

    def __init__(self, database: Database, *statements: str) -> None:
        self._database = database
        self._statements = statements
        self._held, self._over = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        async def work(connection: AsyncConnection) -> None:
            for statement in self._statements:
                await connection.execute(sql(statement))
            loop.call_soon_threadsafe(self._held.set)
            over = asyncio.run_coroutine_threadsafe(self._over.wait(), loop)
            await asyncio.wrap_future(over)

        self._task = asyncio.create_task(self._database.run(work, write=True, deadline=60))
        await asyncio.wait_for(self._held.wait(), 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over.set()
        await self._task
