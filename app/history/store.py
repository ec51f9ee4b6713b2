"""The sink that is a database: every batch in one transaction, every row written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.history.copying import FEWEST, CopyRefused, copy_rows
from app.history.migrate import migrate
from app.history.pacing import ThreadRests, TimeSlice
from app.history.partitioned import PARTITIONED, START
from app.history.partitions import Partitions
from app.history.schema import (
    conversations,
    events,
    outbox,
    results,
    tool_calls,
    turns,
)
from app.history.statements import (
    END,
    KEPT,
    insert,
    missing_conversations,
    replacing,
    update_ends,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.conversation import BatchPart
    from app.history.database import Database
    from app.history.message import Message
    from app.history.statements import BulkStatement, Values
    from app.history.turn import Row

NO_END: Final[Row] = {"ended_at": None, "close_code": None, "close_name": None}
"""Columns of a conversation that goes on."""

NEW: Final = frozenset((0, 2, 3, 4, 5, 6))
"""Numbers of the statements whose rows are new, unless a conversation was written by another."""

Grouped = list[list["Values"]]
"""Rows by statement, in the order in which the statements are executed."""


class Store:
    """Implements the port `Sink`. `on_message` is called when results were put into the outbox.

    `partitions` makes those that a batch needs; by default the database's, for 30 days of history.
    """

    def __init__(
        self,
        database: Database,
        on_message: Callable[[], None] | None = None,
        partitions: Partitions | None = None,
    ) -> None:
        self._database = database
        self._partitions = partitions or Partitions(database)
        self._on_message = on_message
        self._statements = _statements(is_postgresql=database.is_postgresql)

    async def open(self) -> None:
        """Bring the schema up to date. Raises `HistoryLost`."""
        await migrate(self._database)

    async def write(self, parts: Sequence[BatchPart]) -> frozenset[str]:
        """Write all parts or none; see `Sink`.

        A conversation whose row was there and is there no more was erased, maybe by another
        replica: its part is left out, and its id returned. Rows are built before the transaction
        begins, so that its lock is not held meanwhile.
        """
        rows = await self._grouped(parts)
        await self._partitions.cover(part.conversation.start.started_at for part in parts)
        stored = [part.conversation.start.id for part in parts if part.conversation.stored]
        gone = await self._written(stored, rows)
        for part in parts:
            for turn in part.turns.values():
                turn.is_stored = True
        if self._on_message is not None and any(part.message for part in parts):
            self._on_message()
        return gone

    async def _written(self, stored: Sequence[str], rows: Grouped) -> frozenset[str]:
        """Write all rows; return which of the stored conversations are gone."""
        if self._database.is_postgresql and any(len(rows[at]) >= FEWEST for at in NEW):
            try:
                return await self._database.run(lambda c: self._copied(c, stored, rows), write=True)
            except CopyRefused:
                pass  # a try whose outcome was unknown has written some of them, or one is bad
        return await self._database.run_at_once(lambda c: self._all(c, stored, rows))

    async def _copied(
        self, connection: AsyncConnection, stored: Sequence[str], rows: Grouped
    ) -> frozenset[str]:
        """Write all rows, those that are many and new by COPY. Raises `CopyRefused`."""
        gone = await connection.run_sync(missing_conversations, stored, is_postgresql=True)
        for at, (statement, its_rows) in enumerate(zip(self._statements, rows, strict=True)):
            left = _without(gone, statement, its_rows)
            if at in NEW and len(left) >= FEWEST:
                await copy_rows(connection, statement, left)
            elif left:
                await connection.run_sync(statement.execute, left)
        rows.clear()
        return gone

    def _all(self, connection: Connection, stored: Sequence[str], rows: Grouped) -> frozenset[str]:
        """Execute all statements; the rows are let go of in the thread that does it."""
        gone = missing_conversations(connection, stored, is_postgresql=self._database.is_postgresql)
        rests = ThreadRests()
        for statement, its_rows in zip(self._statements, rows, strict=True):
            statement.execute(connection, _without(gone, statement, its_rows), rests.take)
        rows.clear()
        return gone

    async def _grouped(self, parts: Sequence[BatchPart]) -> Grouped:
        """Build the rows of all parts, in slices of time."""
        grouped: Grouped = [[] for _ in self._statements]
        time = TimeSlice()
        await time.rest()  # the caller has worked on these parts until now
        for part in parts:
            for number, row in _rows(part):
                grouped[number].append(self._statements[number].values(row))
                if time.is_over():
                    await time.rest()
        return grouped


def _without(gone: frozenset[str], statement: BulkStatement, rows: list[Values]) -> list[Values]:
    """Leave out the rows of conversations that are gone."""
    if not gone:
        return rows
    return [row for row in rows if row[statement.conversation] not in gone]


def _statements(*, is_postgresql: bool) -> tuple[BulkStatement, ...]:
    """Make the statements, in the order of the numbers that `_rows` names them by."""
    # A conversation that was written before its end, by a try whose outcome is unknown, gets it
    # now; a turn only grows, so that a batch that comes late takes nothing away.
    own = PARTITIONED if is_postgresql else {}
    said, concluded = own.get(turns, turns), own.get(results, results)
    grown = f"excluded.pieces >= {said.name}.pieces"
    conflicts = (
        (conversations, replacing(conversations, END, "excluded.ended_at IS NOT NULL")),
        (said, replacing(said, ("text", "pieces", "ended_at"), grown)),
        (own.get(events, events), KEPT),
        (own.get(tool_calls, tool_calls), KEPT),
        (concluded, replacing(concluded, [c.name for c in results.columns if not c.primary_key])),
        (outbox, KEPT),
        (said, replacing(said, ("text", "pieces", "ended_at"), grown)),
    )
    inserts = (insert(*each, is_postgresql=is_postgresql) for each in conflicts)
    return (*inserts, update_ends(is_postgresql=is_postgresql))


def _rows(part: BatchPart) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a part, each with the number of its statement."""
    conversation = part.conversation
    if not conversation.stored:
        yield 0, conversation.row() | (part.end or NO_END)
    elif part.end is not None:
        yield 7, part.end | {"id": conversation.start.id}
    started = conversation.start.started_at
    for turn, row in zip(part.turns.values(), part.turn_rows(), strict=True):
        row[START] = started
        yield (1 if turn.is_stored else 6), row
    for row in part.events:
        row[START] = started
        yield 2, row
    for row in part.tools:
        row[START] = started
        yield 3, row
    if part.result is not None:
        part.result[START] = started
        yield 4, part.result
    if part.message is not None:
        yield 5, _message(part.message)


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
