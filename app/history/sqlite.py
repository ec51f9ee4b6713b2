"""SQLite: how its connections are prepared, and batches that are written in one go."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from sqlalchemy import create_engine, event

from app.history.translation import FAILURES, translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL, Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

Value = TypeVar("Value")

WAL_ATTEMPTS: Final = 1000


class SqliteBatches:
    """Does work in one thread with one connection of its own, a transaction at a time.

    `busy` is how long a locked file is waited for, in seconds.
    """

    def __init__(self, url: URL, busy: float) -> None:
        self._engine = create_engine(
            url.set(drivername="sqlite"),
            hide_parameters=True,
            pool_size=1,
            max_overflow=0,
            connect_args={"timeout": busy, "check_same_thread": False},
        )
        for name, act in SQLITE_EVENTS:
            event.listen(self._engine, name, act)
        self._executor = ThreadPoolExecutor(1, "history-sqlite")

    async def run(self, work: Callable[[Connection], Value]) -> Value:
        """Do `work` in a writing transaction.

        Raises `HistoryUnavailable` when it may work later, `Unstorable` when it never will.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._do, work)

    async def close(self) -> None:
        """Close the connection, once what was begun has ended."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._engine.dispose)
        self._executor.shutdown(wait=False)

    def _do(self, work: Callable[[Connection], Value]) -> Value:
        try:
            with self._engine.connect() as raw:
                connection = raw.execution_options(writes=True)
                with connection.begin():
                    return work(connection)
        except FAILURES as error:
            raise translated(error) from None


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


SQLITE_EVENTS: Final = (("connect", _prepare_sqlite), ("begin", _begin_sqlite))
