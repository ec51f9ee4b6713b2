"""The sink that is a database: every batch in one transaction, every row written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select, update

from app.history.migrate import migrate
from app.history.schema import (
    conversations,
    events,
    outbox,
    results,
    tool_calls,
    turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Executable, Insert, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.conversation import BatchPart
    from app.history.database import Database
    from app.history.message import Message
    from app.history.turn import Row

CHUNK: Final = 64
"""Rows per statement: what is built for one statement is built without a pause."""


class Store:
    """Implements the port `Sink`. `on_message` is called when results were put into the outbox."""

    def __init__(self, database: Database, on_message: Callable[[], None] | None = None) -> None:
        self._database = database
        self._on_message = on_message
        self._insert: dict[Table, Insert] = {
            table: database.insert(table).on_conflict_do_nothing()
            for table in (conversations, events, tool_calls, outbox)
        }
        self._insert[turns] = _growing(database, turns, ("text", "pieces", "ended_at"))
        self._insert[results] = _latest(database, results)
        self._end = (
            update(conversations)
            .where(conversations.c.id == bindparam("conversation"))
            .values(
                {name: bindparam(name) for name in ("ended_at", "close_code", "close_name", "lost")}
            )
        )

    async def open(self) -> None:
        """Bring the schema up to date. Raises `HistoryLost`."""
        await migrate(self._database)

    async def write(self, parts: Sequence[BatchPart]) -> frozenset[str]:
        """Write all parts or none; see `Sink`.

        A conversation whose row was there and is there no more was erased, maybe by another
        replica: its part is left out, and its id returned.
        """
        gone = await self._database.run(lambda connection: self._all(connection, parts), write=True)
        if self._on_message is not None and any(part.message for part in parts):
            self._on_message()
        return gone

    async def _all(self, connection: AsyncConnection, parts: Sequence[BatchPart]) -> frozenset[str]:
        gone = await self._gone(connection, parts)
        kept = [part for part in parts if part.conversation.start.id not in gone]
        fresh = [part.conversation.row() for part in kept if not part.conversation.stored]
        await self._many(connection, conversations, fresh)
        await self._many(connection, turns, [row for p in kept for row in p.turn_rows()])
        await self._many(connection, events, [row for p in kept for row in p.events])
        await self._many(connection, tool_calls, [row for p in kept for row in p.tools])
        await self._many(connection, results, [p.result for p in kept if p.result])
        await self._many(connection, outbox, [_message(p.message) for p in kept if p.message])
        ends = [{"conversation": p.conversation.start.id, **p.end} for p in kept if p.end]
        await _chunks(connection, self._end, ends)
        return gone

    async def _gone(
        self, connection: AsyncConnection, parts: Sequence[BatchPart]
    ) -> frozenset[str]:
        stored = [p.conversation.start.id for p in parts if p.conversation.stored]
        if not stored:
            return frozenset()
        # The lock keeps an erasure from passing between this look and the rows that follow.
        look = (
            select(conversations.c.id)
            .where(conversations.c.id.in_(stored))
            .with_for_update(read=True, key_share=True)
        )
        return frozenset(stored) - frozenset((await connection.execute(look)).scalars())

    async def _many(self, connection: AsyncConnection, table: Table, rows: Sequence[Row]) -> None:
        await _chunks(connection, self._insert[table], rows)


async def _chunks(connection: AsyncConnection, statement: Executable, rows: Sequence[Row]) -> None:
    for at in range(0, len(rows), CHUNK):
        await connection.execute(statement, rows[at : at + CHUNK])


def _growing(database: Database, table: Table, grown: Sequence[str]) -> Insert:
    """Insert turns, or let a turn grow; a batch that comes late takes nothing away."""
    insert = database.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: insert.excluded[name] for name in grown},
        where=insert.excluded.pieces >= table.c.pieces,
    )


def _latest(database: Database, table: Table) -> Insert:
    insert = database.insert(table)
    keys = {column.name for column in table.primary_key.columns}
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={c.name: insert.excluded[c.name] for c in table.columns if c.name not in keys},
    )


def _message(message: Message) -> Row:
    return {
        "id": message.id,
        "conversation_id": message.conversation_id,
        "state": "waiting",
        "body": message.body,
        "sealed": message.sealed,
        "created_at": message.created_at,
        "deadline": message.deadline,
        "next_at": message.created_at,
        "attempts": 0,
        "claimed_by": None,
    }
