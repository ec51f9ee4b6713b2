"""The sink that is a database: every batch in one transaction, every row written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.history.migrate import migrate
from app.history.pacing import ThreadRests, TimeSlice
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

    from app.history.conversation import BatchPart
    from app.history.database import Database
    from app.history.message import Message
    from app.history.statements import BulkStatement, Values
    from app.history.turn import Row

NO_END: Final[Row] = {"ended_at": None, "close_code": None, "close_name": None}
"""Columns of a conversation that goes on."""

Grouped = list[list["Values"]]
"""Rows by statement, in the order in which the statements are executed."""


class Store:
    """Implements the port `Sink`. `on_message` is called when results were put into the outbox."""

    def __init__(self, database: Database, on_message: Callable[[], None] | None = None) -> None:
        self._database = database
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
        stored = [part.conversation.start.id for part in parts if part.conversation.stored]
        gone = await self._database.run_at_once(lambda c: self._all(c, stored, rows))
        if self._on_message is not None and any(part.message for part in parts):
            self._on_message()
        return gone

    def _all(self, connection: Connection, stored: Sequence[str], rows: Grouped) -> frozenset[str]:
        """Execute all statements; the rows are let go of in the thread that does it."""
        gone = missing_conversations(connection, stored, is_postgresql=self._database.is_postgresql)
        rests = ThreadRests()
        for statement, its_rows in zip(self._statements, rows, strict=True):
            owner = statement.conversation
            left = [row for row in its_rows if row[owner] not in gone] if gone else its_rows
            statement.execute(connection, left, rests.take)
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


def _statements(*, is_postgresql: bool) -> tuple[BulkStatement, ...]:
    """Make the statements, in the order of the numbers that `_rows` names them by."""
    # A conversation that was written before its end, by a try whose outcome is unknown, gets it
    # now; a turn only grows, so that a batch that comes late takes nothing away.
    conflicts = (
        (conversations, replacing(conversations, END, "excluded.ended_at IS NOT NULL")),
        (
            turns,
            replacing(turns, ("text", "pieces", "ended_at"), "excluded.pieces >= turns.pieces"),
        ),
        (events, KEPT),
        (tool_calls, KEPT),
        (results, replacing(results, [c.name for c in results.columns if not c.primary_key])),
        (outbox, KEPT),
    )
    inserts = (insert(*each, is_postgresql=is_postgresql) for each in conflicts)
    return (*inserts, update_ends(is_postgresql=is_postgresql))


def _rows(part: BatchPart) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a part, each with the number of its statement."""
    conversation = part.conversation
    if not conversation.stored:
        yield 0, conversation.row() | (part.end or NO_END)
    elif part.end is not None:
        yield 6, part.end | {"id": conversation.start.id}
    for row in part.turn_rows():
        yield 1, row
    for row in part.events:
        yield 2, row
    for row in part.tools:
        yield 3, row
    if part.result is not None:
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
