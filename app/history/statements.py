"""The statements that write many rows at once, made once for each kind of database.

SQLAlchemy would build, compile and convert each row in Python. These statements go to the driver as
they are. SQLite gets many rows in the VALUES of one statement: the driver takes the interpreter's
lock anew for each statement, which a busy event loop gives up reluctantly. PostgreSQL gets each
column as an array and unfolds them by `unnest`, one statement for many rows, which needs no
prepared statement that a pooler could lose.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from sqlalchemy.dialects import postgresql

from app.history.schema import conversations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Table

    from app.history.turn import Row

Values: TypeAlias = "tuple[Any, ...]"
"""One row in the order of its statement's columns."""

CHUNK: Final = 256
"""Rows per statement for PostgreSQL, whose driver encodes them without a pause on the loop."""

CHUNK_SIZE: Final = 128 * 1024
"""Characters per statement for PostgreSQL, but for a row that is longer by itself."""

SQLITE_ROWS: Final = (64, 8, 1)
"""Rows in one statement for SQLite, the most first: what is left of one goes by the next."""

END: Final = ("ended_at", "close_code", "close_name", "lost")
"""Columns of a conversation that its end sets."""

WIDE: Final = frozenset({"text", "data", "arguments", "result", "body", "additional_data"})
"""Columns that hold what was said, and may be long."""

KEPT: Final = "DO NOTHING"
"""What happens to a row that was written before: it stays."""


@dataclass(frozen=True, slots=True)
class BulkStatement:
    """A statement for many rows of `table`, each of so many `columns`.

    `sql` makes its text for so many rows in one statement, `values` puts a row into the order of
    its columns, `conversation` is the place of its conversation's id, `wide` are the places of
    those that may be long. `arrays` says that a column is one parameter, whatever the number of
    rows; else each value is one.
    """

    table: str
    columns: tuple[str, ...]
    sql: Callable[[int], str]
    values: Callable[[Row], Values]
    conversation: int
    wide: tuple[int, ...]
    arrays: bool

    def calls(self, rows: Sequence[Values]) -> Iterator[tuple[str, Any]]:
        """Yield what the driver is called with: a statement and its parameters, or many of them."""
        if self.arrays:
            for chunk in self._chunks(rows, CHUNK):
                yield self.sql(0), tuple(map(list, zip(*chunk, strict=True)))
            return
        sized: dict[int, list[Values]] = {rows: [] for rows in SQLITE_ROWS}
        for chunk in self._chunks(rows, SQLITE_ROWS[0]):
            at = 0
            for size in SQLITE_ROWS:
                while len(chunk) - at >= size:
                    sized[size].append(tuple(chain.from_iterable(chunk[at : at + size])))
                    at += size
        for size, together in sized.items():
            if together:
                yield self.sql(size), together

    def execute(
        self,
        connection: Connection,
        rows: Sequence[Values],
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        """Write all rows within the connection's transaction; call `rest` after each of SQLite's.

        PostgreSQL's driver waits for the server after each: nothing else has to.
        """
        for sql, parameters in self.calls(rows):
            if self.arrays:
                connection.exec_driver_sql(sql, parameters)
                continue
            for of_one in parameters:
                connection.exec_driver_sql(sql, of_one)
                rest()

    def _chunks(self, rows: Sequence[Values], most: int) -> Iterator[Sequence[Values]]:
        """Divide rows by number and size: the driver takes one chunk at a time, without a pause."""
        if not self.wide:
            for at in range(0, len(rows), most):
                yield rows[at : at + most]
            return
        chunk: list[Values] = []
        size = 0
        for row in rows:
            chunk.append(row)
            for place in self.wide:
                size += len(row[place] or "")
            if len(chunk) >= most or size >= CHUNK_SIZE:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk


def insert(table: Table, conflict: str, *, is_postgresql: bool) -> BulkStatement:
    """Insert rows; `conflict` is what follows ON CONFLICT."""
    columns = tuple(column.name for column in table.columns)
    head = f"INSERT INTO {table.name} ({_names(columns)})"
    tail = f"ON CONFLICT {conflict}"
    unfolded = f"SELECT * FROM {_unfolded(table, columns)}"  # noqa: S608

    def sql(rows: int) -> str:
        source = unfolded if is_postgresql else _marks(columns, rows)
        return f"{head} {source} {tail}"

    return _statement(table, sql, columns, is_postgresql=is_postgresql)


def replacing(table: Table, names: Sequence[str], only_if: str = "") -> str:
    """What follows ON CONFLICT where these columns take the new row's values."""
    keys = _names(column.name for column in table.primary_key.columns)
    taken = ", ".join(f'"{name}" = excluded."{name}"' for name in names)
    return f"({keys}) DO UPDATE SET {taken}" + (f" WHERE {only_if}" if only_if else "")


def update_ends(*, is_postgresql: bool) -> BulkStatement:
    """Set the end of conversations that were stored before."""
    columns = (*END, "id")
    named = _unfolded(conversations, columns)
    place = {name: name if is_postgresql else f"column{n}" for n, name in enumerate(columns, 1)}
    taken = ", ".join(f'"{name}" = new."{place[name]}"' for name in END)

    def sql(rows: int) -> str:
        source = (
            f"{named} AS new ({_names(columns)})"
            if is_postgresql
            else f"({_marks(columns, rows)}) AS new"
        )
        only = f'old.id = new."{place["id"]}"'
        return f"UPDATE conversations AS old SET {taken} FROM {source} WHERE {only}"  # noqa: S608

    return _statement(conversations, sql, columns, is_postgresql=is_postgresql)


def _statement(
    table: Table, sql: Callable[[int], str], columns: tuple[str, ...], *, is_postgresql: bool
) -> BulkStatement:
    texts = {rows: sql(rows) for rows in (0, *SQLITE_ROWS)}
    wide = tuple(place for place, name in enumerate(columns) if name in WIDE)
    owner = columns.index("conversation_id" if "conversation_id" in columns else "id")
    values = itemgetter(*columns)
    return BulkStatement(table.name, columns, texts.__getitem__, values, owner, wide, is_postgresql)


def _marks(columns: Sequence[str], rows: int) -> str:
    row = ", ".join("?" * len(columns))
    return "VALUES " + ", ".join([f"({row})"] * rows)


def missing_conversations(
    connection: Connection, ids: Sequence[str], *, is_postgresql: bool
) -> frozenset[str]:
    """Return which of these conversations have no row; lock the others' until the commit.

    The lock keeps an erasure from passing between this look and the rows that follow; in SQLite,
    a writing transaction has the whole file.
    """
    if not ids:
        return frozenset()
    sql = _MISSING_POSTGRESQL if is_postgresql else _MISSING_SQLITE
    given = (list(ids),) if is_postgresql else (orjson.dumps(list(ids)).decode(),)
    return frozenset(connection.exec_driver_sql(sql, given).scalars())


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
