"""The one road to the history database: bounded in time, its errors translated.

SQLite and PostgreSQL behave alike from here on: a writing transaction holds its lock from the
beginning, foreign keys are enforced, nothing waits longer than it may.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from app.history.errors import HistoryLost, Unstorable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pydantic import SecretStr
    from sqlalchemy import Connection, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
    from sqlalchemy.ext.asyncio import AsyncConnection

Value = TypeVar("Value")

POSTGRESQL: Final = "postgresql"

UNUSABLE: Final = "is no URL of a database: percent-encode what user and password hold of @ : /"
WAL_ATTEMPTS: Final = 1000
CONNECTING: Final = 3.0
"""Deadlines until a connection is there: waiting for a free one, probing it, dialling anew."""

CONTENT_CLASSES: Final = ("22", "23")
"""SQLSTATE classes that blame the content: data exception, integrity constraint violation."""


class Database:
    """An engine with a deadline; `deadline` is what one transaction may take, in seconds.

    Connecting is bounded besides: with a database that hangs, three times as long. Raises
    `ValueError`, which says what is wrong and nothing of the URL, if there is no such engine.
    """

    def __init__(self, url: SecretStr, *, deadline: float = 5.0, connections: int = 4) -> None:
        plain = url.get_secret_value()
        self.deadline = deadline
        self._under_way: set[asyncio.Task[Any]] = set()
        # `timeout` is asyncpg's for connecting and sqlite3's for a busy file.
        try:
            self._engine = create_async_engine(
                plain,
                hide_parameters=True,
                pool_pre_ping=plain.startswith(POSTGRESQL),
                pool_size=connections,
                max_overflow=0,
                pool_timeout=deadline,
                connect_args={"timeout": deadline} | _session(plain),
            )
        except (SQLAlchemyError, ValueError, TypeError):
            raise ValueError(UNUSABLE) from None
        self.is_postgresql = self._engine.dialect.name == POSTGRESQL
        if not self.is_postgresql:
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)

    def __repr__(self) -> str:
        return f"Database({self._engine.dialect.name})"

    async def run(
        self,
        work: Callable[[AsyncConnection], Awaitable[Value]],
        *,
        write: bool = False,
        deadline: float | None = None,
    ) -> Value:
        """Do `work` in one transaction, and return what it returns; raises as `transaction` does.

        Work that has begun goes on to its end when its caller is cancelled. With SQLite it does
        even when it is late: a statement that runs in the driver's thread cannot be called back,
        and a connection abandoned in the middle would hold the file's lock for good.
        """
        # No TaskGroup: it would cancel what must not be cancelled. `close` waits for the rest.
        task = asyncio.create_task(self._do(work, write=write, deadline=deadline))
        self._under_way.add(task)
        task.add_done_callback(self._finished)
        try:
            late = None if self.is_postgresql else deadline or 2 * self.deadline
            async with asyncio.timeout(late):
                return await asyncio.shield(task)
        except TimeoutError:
            raise HistoryLost("TimeoutError") from None
        except asyncio.CancelledError:
            await asyncio.wait([task], timeout=self.deadline)
            raise

    @asynccontextmanager
    async def transaction(
        self, *, write: bool = False, deadline: float | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """Open a transaction and commit it at the end; not to be cancelled in the middle.

        Raises `HistoryLost` when it may work later, `Unstorable` when it never will.
        """
        limit = (deadline or self.deadline) if self.is_postgresql else None
        try:
            async with AsyncExitStack() as stack:
                # The driver gives up connecting by itself, and cleans up after itself: this
                # deadline only comes after that.
                async with asyncio.timeout(limit and CONNECTING * self.deadline):
                    raw = await stack.enter_async_context(self._engine.connect())
                async with asyncio.timeout(limit):
                    connection = await raw.execution_options(writes=write)
                    async with connection.begin():
                        yield connection
        except (SQLAlchemyError, OSError, TimeoutError, EOFError, ValueError, OverflowError) as e:
            raise translated(e) from None

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """Begin an INSERT of this database's own kind, which knows ON CONFLICT."""
        return postgresql.insert(table) if self.is_postgresql else sqlite.insert(table)

    async def close(self) -> None:
        """Let go of every connection, once what is under way has ended."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self.deadline)
        await self._engine.dispose()

    async def _do(
        self,
        work: Callable[[AsyncConnection], Awaitable[Value]],
        *,
        write: bool,
        deadline: float | None,
    ) -> Value:
        async with self.transaction(write=write, deadline=deadline) as connection:
            return await work(connection)

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits has it; for a caller who left it is no news


def translated(error: Exception) -> HistoryLost | Unstorable:
    """Say what an error means, in words that may be logged: its class and SQLSTATE alone."""
    if isinstance(error, HistoryLost | Unstorable):
        return error
    cause: BaseException = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig
    state = str(getattr(cause, "sqlstate", None) or "")
    name = f"{type(cause).__name__} {state}".strip()
    blamed = state[:2] in CONTENT_CLASSES or type(cause).__name__ == "IntegrityError"
    unfit = isinstance(cause, ValueError | OverflowError) and "no active connection" not in str(
        cause
    )
    return Unstorable(name) if blamed or unfit else HistoryLost(name)


def _session(url: str) -> dict[str, Any]:
    if not url.startswith(POSTGRESQL):
        return {}
    return {
        "server_settings": {
            "application_name": "blackbox-relay",
            "idle_in_transaction_session_timeout": "30000",
            "jit": "off",
        }
    }


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    cursor = connection.cursor()
    _write_ahead(cursor)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _write_ahead(cursor: DBAPICursor) -> None:
    """Switch to the write-ahead log.

    Two processes that begin a file together get in each other's way, and SQLite's own busy
    time-out does not hold for this one statement.
    """
    for attempts_left in reversed(range(WAL_ATTEMPTS)):
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if not attempts_left:
                raise
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
