"""PostgreSQL's tables for what is stored of conversations, partitioned by the conversation's start.

Each of the tables that hold a conversation's rows has a partitioned twin with one more column, the
start of the conversation, by which partitions are ranged. All that is new goes there. The tables
that were there before take no new rows, but for those of older releases during a rollout, and are
read besides until retention has emptied them: that is why an upgrade moves no row.

The twins have no foreign key: checking it would cost each insert, and dropping a partition would
lock `conversations`. A transaction that writes rows holds a lock on its conversation's row
(`statements.missing_conversations`, or the row's own INSERT), so that an erasure, which deletes
that row first, either sees the rows or has them refused. Retention deletes the row alone:
what is left without a conversation is not shown any more, and goes with its partition.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Double, MetaData, Table, select, union_all

from app.history.schema import events, results, tool_calls, turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import FromClause, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

partitioned_metadata: Final = MetaData()

START: Final = "conversation_started"
"""The partition key: `conversations.started_at` (Unix seconds), which never changes."""


def _twin(table: Table) -> Table:
    columns = (
        Column(each.name, each.type, primary_key=each.primary_key, nullable=each.nullable)
        for each in table.columns
    )
    return Table(
        f"partitioned_{table.name}",
        partitioned_metadata,
        *columns,
        Column(START, Double, primary_key=True, nullable=False),
        postgresql_partition_by=f"RANGE ({START})",
    )


DAY: Final = 86_400.0
CHUNK: Final = 500
"""Conversations whose rows one statement erases."""

PARTITIONED: Final[Mapping[Table, Table]] = {
    table: _twin(table) for table in (turns, events, tool_calls, results)
}
"""Each table of a conversation's rows, and its partitioned twin."""

_ERASE: Final = tuple(
    f"DELETE FROM {twin.name} WHERE conversation_id = ANY($1::text[]) "  # noqa: S608
    f"AND {START} = ANY($2::float8[])"
    for twin in PARTITIONED.values()
)


def rows_of_conversation(
    table: Table, conversation_id: str, started: float | None, after: int | None = None
) -> Select[Any]:
    """Select a conversation's rows from a table and, if its start is given, its twin.

    `after`: those with a greater number alone.
    """
    old = select(table).where(table.c.conversation_id == conversation_id)
    if after is not None:
        old = old.where(table.c.number > after)
    if started is None:
        return old
    twin = PARTITIONED[table]
    new = select(*(twin.c[each.name] for each in table.columns)).where(
        twin.c.conversation_id == conversation_id, twin.c[START] == started
    )
    if after is not None:
        new = new.where(twin.c.number > after)
    return select(union_all(old, new).subquery(table.name))


def all_rows(table: Table, *, is_postgresql: bool) -> FromClause:
    """All rows of a table and, where it has one, of its twin."""
    if not is_postgresql or table not in PARTITIONED:
        return table
    twin = PARTITIONED[table]
    new = select(*(twin.c[each.name] for each in table.columns))
    return union_all(select(table), new).subquery(table.name)


async def erase_rows(
    connection: AsyncConnection, conversations: Sequence[tuple[str, float]]
) -> None:
    """Delete the rows of conversations, given by id and start, from the partitioned tables.

    Their own rows must have been deleted in the same transaction before: from then on nothing more
    of them is written.
    """
    # Those of one day at a time: each is looked for in its own partition, not in all of them.
    by_day = sorted(conversations, key=lambda its: its[1])
    for _, some in groupby(by_day, key=lambda its: its[1] // DAY):
        for ids in _chunks(list(some)):
            names, starts = (list(column) for column in zip(*ids, strict=True))
            for statement in _ERASE:
                await connection.exec_driver_sql(statement, (names, sorted(set(starts))))


def _chunks(conversations: list[tuple[str, float]]) -> Iterator[list[tuple[str, float]]]:
    for at in range(0, len(conversations), CHUNK):
        yield conversations[at : at + CHUNK]
