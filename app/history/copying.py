"""COPY for rows that are new: to PostgreSQL the cheapest way in, for it and for its driver.

asyncpg encodes a record for COPY in a fifth of the time that arrays for `unnest` take. COPY knows
no ON CONFLICT, so it is tried first, and a batch that it refuses is written by statements that do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.protocol.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.statements import BulkStatement, Values

FEWEST: Final = 16
"""Rows below which a statement needs fewer round trips than COPY and its look at the columns."""


class CopyRefused(RelayError):  # noqa: N818 - in line with Unstorable
    """The database did not take the rows by COPY; statements will find out why."""


async def copy_rows(
    connection: AsyncConnection, statement: BulkStatement, rows: Sequence[Values]
) -> None:
    """Copy rows into the statement's table, in the transaction. Raises `CopyRefused`."""
    import asyncpg  # noqa: PLC0415 - not loaded for SQLite

    refusals = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, TypeError)
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    try:
        # A generator, not the list: between two records, the interpreter's lock can be let go.
        await driver.copy_records_to_table(
            statement.table, columns=statement.columns, records=(row for row in rows)
        )
    except refusals as error:
        raise CopyRefused(type(error).__name__) from None
