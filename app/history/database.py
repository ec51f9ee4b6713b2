"""The one road to the history database: bounded in time, its errors translated.

SQLite and PostgreSQL behave alike from here on: a writing transaction holds its lock from the
beginning, foreign keys are enforced, nothing waits longer than it may.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from app.history.errors import HistoryLost, Unstorable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pydantic import SecretStr
    from sqlalchemy import Connection, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection

POSTGRESQL: Final = "postgresql"

CONTENT_CLASSES: Final = ("22", "23")
"""SQLSTATE classes that blame the content: data exception, integrity constraint violation."""


class Database:
    """An engine with a deadline; `deadline` is what one transaction may take, in seconds."""

    def __init__(self, url: SecretStr, *, deadline: float = 5.0, connections: int = 4) -> None:
        plain = url.get_secret_value()
        self.deadline = deadline
        # `timeout` is asyncpg's for connecting and sqlite3's for a busy file.
        self._engine = create_async_engine(
            plain,
            hide_parameters=True,
            pool_pre_ping=plain.startswith(POSTGRESQL),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=deadline,
            connect_args={"timeout": deadline} | _session(plain),
        )
        self.is_postgresql = self._engine.dialect.name == POSTGRESQL
        if not self.is_postgresql:
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)

    def __repr__(self) -> str:
        return f"Database({self._engine.dialect.name})"

    @asynccontextmanager
    async def transaction(
        self, *, write: bool = False, deadline: float | None = None
    ) -> AsyncIterator[AsyncConnection]:
        """Open a transaction and commit it at the end.

        Raises `HistoryLost` when it may work later, `Unstorable` when it never will.
        """
        try:
            async with asyncio.timeout(deadline or self.deadline), self._engine.connect() as raw:
                connection = await raw.execution_options(writes=write)
                async with connection.begin():
                    yield connection
        except (SQLAlchemyError, OSError, TimeoutError, EOFError, ValueError, OverflowError) as e:
            raise translated(e) from None

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """Begin an INSERT of this database's own kind, which knows ON CONFLICT."""
        return postgresql.insert(table) if self.is_postgresql else sqlite.insert(table)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._engine.dispose()


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
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
