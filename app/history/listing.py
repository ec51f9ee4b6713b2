"""Listing conversations: whatever is filtered by, a page reads a bounded number of rows.

An index leads by one of the filters to rows in their order. What the others leave of these may be
little or nothing, so rows are looked at in steps, and a page ends after so many of them: it may
then be short, even empty, and has a cursor nevertheless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select, tuple_

from app.history.schema import conversations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.model import Filters

STEP: Final = 2000
STEPS: Final = 10
"""Rows that one step looks at, and steps of one page, where filters have no index together."""

INDEXED: Final = ("subject", "agent", "tenant")
"""Columns with an index by time, the most selective first."""

Key = tuple[float, str]
"""Where a page ends: start (Unix seconds) and id."""

ORDER: Final = (conversations.c.started_at, conversations.c.id)
LATEST_FIRST: Final = tuple(column.desc() for column in ORDER)


async def list_rows(
    connection: AsyncConnection, filters: Filters, after: Key | None, limit: int
) -> tuple[list[RowMapping], Key | None]:
    """Find up to `limit` conversations, the latest first, and where the next page begins."""
    by_index, by_row = _conditions(filters)
    found: list[RowMapping] = []
    for _ in range(STEPS):
        here = (*by_index, *_beyond(after))
        until = await _end_of_step(connection, here) if by_row else None
        query = select(conversations).where(*here, *by_row)
        if until is not None:
            query = query.where(tuple_(*ORDER) >= tuple_(*until))
        query = query.order_by(*LATEST_FIRST).limit(limit - len(found) + 1)
        found += (await connection.execute(query)).mappings()
        if len(found) > limit:
            last = found[limit - 1]
            return found[:limit], (float(last["started_at"]), last["id"])
        if until is None:
            return found, None
        after = until
    return found, after


async def _end_of_step(
    connection: AsyncConnection, conditions: Sequence[ColumnElement[bool]]
) -> Key | None:
    """The last row that the step looks at, or None if it looks at all that are left."""
    query = select(*ORDER).where(*conditions).order_by(*LATEST_FIRST).offset(STEP - 1).limit(1)
    row = (await connection.execute(query)).first()
    return None if row is None else (float(row[0]), row[1])


def _beyond(after: Key | None) -> tuple[ColumnElement[bool], ...]:
    return () if after is None else (tuple_(*ORDER) < tuple_(*after),)


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
