"""Listing the latest rows: whatever is filtered by, a page reads a bounded number of them.

An index leads by one of the filters to rows in their order. What the others leave of these may be
little or nothing, so rows are looked at in steps, and a page ends after so many of them: it may
then be short, even empty, and has a cursor nevertheless.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, tuple_

from app.history.schema import conversations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, RowMapping, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.model import Filters

STEP: Final = 2000
STEPS: Final = 10
"""Rows that one step looks at, and steps of one page, where filters have no index together."""

INDEXED: Final = ("subject", "agent", "tenant")
"""Columns with an index by time, the most selective first."""

Key = tuple[float, str]
"""Where a page ends: a time (Unix seconds) and an id."""

Order = tuple["ColumnElement[float]", "ColumnElement[str]"]
"""The columns of the key."""

BY_START: Final = (conversations.c.started_at, conversations.c.id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is listed: `query` without conditions, the latest by `order` first.

    `by_index` are conditions that an index on them and `order` finds, `by_row` those that only the
    rows tell.
    """

    query: Select[Any]
    order: Order
    by_index: Sequence[ColumnElement[bool]] = ()
    by_row: Sequence[ColumnElement[bool]] = ()

    def key(self, row: RowMapping) -> Key:
        """A row's place in the order."""
        return float(row[str(self.order[0].key)]), str(row[str(self.order[1].key)])


async def list_conversations(
    connection: AsyncConnection, filters: Filters, after: Key | None, limit: int
) -> tuple[list[RowMapping], Key | None]:
    """Find up to `limit` conversations, the latest first, and where the next page begins."""
    by_index, by_row = _conditions(filters)
    return await list_rows(
        connection, Wanted(select(conversations), BY_START, by_index, by_row), after, limit
    )


async def list_rows(
    connection: AsyncConnection, wanted: Wanted, after: Key | None, limit: int
) -> tuple[list[RowMapping], Key | None]:
    """Find up to `limit` rows, the latest first; and the key up to which all is known, if any."""
    latest_first = tuple(column.desc() for column in wanted.order)
    found: list[RowMapping] = []
    for _ in range(STEPS):
        here = (*wanted.by_index, *_beyond(wanted, after))
        until = await _end_of_step(connection, wanted, here) if wanted.by_row else None
        query = wanted.query.where(*here, *wanted.by_row)
        if until is not None:
            query = query.where(tuple_(*wanted.order) >= tuple_(*until))
        query = query.order_by(*latest_first).limit(limit - len(found) + 1)
        found += (await connection.execute(query)).mappings()
        if len(found) > limit:
            return found[:limit], wanted.key(found[limit - 1])
        if until is None:
            return found, None
        after = until
    return found, after


async def list_merged(
    connection: AsyncConnection, sources: Sequence[Wanted], after: Key | None, limit: int
) -> tuple[list[RowMapping], Key | None]:
    """The same for rows of several kinds, which have the same columns."""
    found: list[tuple[Key, RowMapping]] = []
    known: list[Key] = []
    for each in sources:
        rows, until = await list_rows(connection, each, after, limit)
        found += ((each.key(row), row) for row in rows)
        known += [] if until is None else [until]
    last = max(known, default=None)  # beyond that, another kind may have rows in between
    found = [pair for pair in found if last is None or pair[0] >= last]
    found.sort(key=itemgetter(0), reverse=True)
    if len(found) > limit:
        last = found[limit - 1][0]
    return [row for _, row in found[:limit]], last


async def _end_of_step(
    connection: AsyncConnection, wanted: Wanted, conditions: Sequence[ColumnElement[bool]]
) -> Key | None:
    """The key of the last row that the step looks at, or None if it looks at all that are left."""
    order = tuple(column.desc() for column in wanted.order)
    query = select(*wanted.order).where(*conditions).order_by(*order).offset(STEP - 1).limit(1)
    row = (await connection.execute(query)).first()
    return None if row is None else (float(row[0]), str(row[1]))


def _beyond(wanted: Wanted, after: Key | None) -> tuple[ColumnElement[bool], ...]:
    return () if after is None else (tuple_(*wanted.order) < tuple_(*after),)


def _conditions(filters: Filters) -> tuple[list[Any], list[Any]]:
    """What an index finds, and what only the rows tell."""
    given = {
        name: getattr(filters, name)
        for name in (*INDEXED, "call_type")
        if getattr(filters, name) is not None
    }
    leading = next((name for name in INDEXED if name in given), None)
    equal = {name: conversations.c[name] == value for name, value in given.items()}
    by_index = [equal.pop(leading)] if leading is not None else []
    if filters.since is not None:
        by_index.append(conversations.c.started_at >= filters.since)
    if filters.until is not None:
        by_index.append(conversations.c.started_at < filters.until)
    return by_index, list(equal.values())
