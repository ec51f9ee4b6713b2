"""The statements that write many rows at once, made once for each kind of database.

SQLAlchemy would build, compile and convert each row in Python on the event loop. These statements
go to the driver as they are: SQLite steps through the rows of one `executemany` in the driver's
thread; PostgreSQL gets each column as an array and unfolds them by `unnest`, one statement for
many rows, which needs no prepared statement that a pooler could lose.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from sqlalchemy.dialects import postgresql

from app.history.schema import conversations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.turn import Row

Values: TypeAlias = "tuple[Any, ...]"
"""One row in the order of its statement's columns."""

CHUNK: Final = 256
"""Rows per statement for PostgreSQL, whose driver encodes them without a pause on the loop."""

CHUNK_SIZE: Final = 128 * 1024
"""Characters per statement for PostgreSQL, but for a row that is longer by itself."""

END: Final = ("ended_at", "close_code", "close_name", "lost")
"""Columns of a conversation that its end sets."""

WIDE: Final = frozenset({"text", "data", "arguments", "result", "body", "additional_data"})
"""Columns that hold what was said, and may be long."""

KEPT: Final = "DO NOTHING"
"""What happens to a row that was written before: it stays."""


@dataclass(frozen=True, slots=True)
class BulkStatement:
    """A statement for many rows. `arrays` says that a column is one parameter, else a row is.

    `values` puts a row into the order of its columns, `wide` are the places of those that may be
    long.
    """

    sql: str
    values: Callable[[Row], Values]
    wide: tuple[int, ...]
    arrays: bool

    def parameters(self, rows: Sequence[Values]) -> Iterator[Any]:
        """Yield what the driver takes, once for each time that the statement is executed."""
        if not self.arrays:
            yield list(rows)
            return
        chunk: list[Values] = []
        size = 0
        for row in rows:
            chunk.append(row)
            for place in self.wide:
                size += len(row[place] or "")
            if len(chunk) >= CHUNK or size >= CHUNK_SIZE:
                yield tuple(map(list, zip(*chunk, strict=True)))
                chunk, size = [], 0
        if chunk:
            yield tuple(map(list, zip(*chunk, strict=True)))

    async def execute(self, connection: AsyncConnection, rows: Sequence[Values]) -> None:
        """Write all rows within the connection's transaction."""
        if rows:
            for parameters in self.parameters(rows):
                await connection.exec_driver_sql(self.sql, parameters)


def insert(table: Table, conflict: str, *, is_postgresql: bool) -> BulkStatement:
    """Insert rows; `conflict` is what follows ON CONFLICT."""
    columns = tuple(column.name for column in table.columns)
    given = _unfolded(table, columns) if is_postgresql else ", ".join("?" * len(columns))
    source = f"SELECT * FROM {given}" if is_postgresql else f"VALUES ({given})"  # noqa: S608
    sql = f"INSERT INTO {table.name} ({_names(columns)}) {source} ON CONFLICT {conflict}"
    return _statement(sql, columns, is_postgresql=is_postgresql)


def replacing(table: Table, names: Sequence[str], only_if: str = "") -> str:
    """What follows ON CONFLICT where these columns take the new row's values."""
    keys = _names(column.name for column in table.primary_key.columns)
    taken = ", ".join(f'"{name}" = excluded."{name}"' for name in names)
    return f"({keys}) DO UPDATE SET {taken}" + (f" WHERE {only_if}" if only_if else "")


def update_ends(*, is_postgresql: bool) -> BulkStatement:
    """Set the end of conversations that were stored before."""
    columns = (*END, "id")
    if is_postgresql:
        taken = ", ".join(f'"{name}" = new."{name}"' for name in END)
        source = f"{_unfolded(conversations, columns)} AS new ({_names(columns)})"
        sql = f"UPDATE conversations AS old SET {taken} FROM {source} WHERE old.id = new.id"  # noqa: S608
    else:
        taken = ", ".join(f'"{name}" = ?' for name in END)
        sql = f"UPDATE conversations SET {taken} WHERE id = ?"  # noqa: S608
    return _statement(sql, columns, is_postgresql=is_postgresql)


def _statement(sql: str, columns: tuple[str, ...], *, is_postgresql: bool) -> BulkStatement:
    wide = tuple(place for place, name in enumerate(columns) if name in WIDE)
    return BulkStatement(sql, itemgetter(*columns), wide, is_postgresql)


async def missing_conversations(
    connection: AsyncConnection, ids: Sequence[str], *, is_postgresql: bool
) -> frozenset[str]:
    """Return which of these conversations have no row; lock the others' until the commit.

    The lock keeps an erasure from passing between this look and the rows that follow; in SQLite,
    a writing transaction has the whole file.
    """
    if not ids:
        return frozenset()
    sql = _MISSING_POSTGRESQL if is_postgresql else _MISSING_SQLITE
    given = (list(ids),) if is_postgresql else (orjson.dumps(list(ids)).decode(),)
    return frozenset((await connection.exec_driver_sql(sql, given)).scalars())


_MISSING_POSTGRESQL: Final = (
    "WITH there AS (SELECT id FROM conversations WHERE id = ANY($1::text[]) FOR KEY SHARE) "
    "SELECT unnest($1::text[]) EXCEPT SELECT id FROM there"
)
_MISSING_SQLITE: Final = (
    "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM conversations WHERE id = value)"
)


def _unfolded(table: Table, columns: Sequence[str]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = (
        f"${number}::{table.c[name].type.compile(dialect)}[]"
        for number, name in enumerate(columns, 1)
    )
    return f"unnest({', '.join(arrays)})"


def _names(columns: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
