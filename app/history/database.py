"""Access to the history database: bounded in time, its errors translated.

SQLite and PostgreSQL behave alike from here on: a writing transaction holds its lock from the
beginning, foreign keys are enforced, nothing waits longer than it may.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from sqlalchemy import event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from app.history.database_thread import DatabaseThread
from app.history.errors import HistoryUnavailable
from app.history.postgres import postgres_options
from app.history.sqlite import SQLITE_EVENTS, SqliteBatches
from app.history.translation import FAILURES, translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping

    from pydantic import SecretStr
    from sqlalchemy import Connection, Table
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection

log = structlog.get_logger(__name__)

Value = TypeVar("Value")

POSTGRESQL: Final = "postgresql"

UNUSABLE: Final = "is no URL of a database: percent-encode what user and password hold of @ : /"
CONNECTING: Final = 3.0
"""Deadlines until a connection is there: waiting for a free one, probing it, dialling anew."""

LEFT_BEHIND: Final = ("25006", "57P", "08")
"""SQLSTATEs, or how they begin, of a connection that leads to the wrong server, or to none any
more: read-only transaction, operator intervention, connection exception. Other connections that
were made before lead there, too."""

TRANSACTION_SETTINGS: Final = (
    "SELECT set_config('idle_in_transaction_session_timeout', '30000', true), "
    "set_config('jit', 'off', true)"
)
"""Given to each transaction: a pooler takes no such startup parameter, and what one session sets
would stay on a server connection that others get."""

KEEPALIVE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
"""Seconds of silence, seconds between probes, probes: below the idle time-outs of firewalls."""


class Database:
    """An engine with a deadline; `deadline` is what one transaction may take, in seconds.

    Connecting is bounded besides: with a database that hangs, three times as long. Raises
    `ValueError`, which says what is wrong and nothing of the URL, if there is no such engine.
    """

    def __init__(self, url: SecretStr, *, deadline: float = 5.0, connections: int = 4) -> None:
        self.deadline = deadline
        self._thread = DatabaseThread()
        self._under_way: set[asyncio.Future[Any]] = set()
        try:
            target = make_url(url.get_secret_value())
        except (SQLAlchemyError, ValueError, TypeError):
            raise ValueError(UNUSABLE) from None
        self.is_postgresql = target.get_backend_name() == POSTGRESQL
        # `timeout` is asyncpg's for connecting and sqlite3's for a busy file.
        arguments: Mapping[str, Any] = {"timeout": deadline}
        if self.is_postgresql:
            options = postgres_options(target, deadline)
            target, arguments = options.url, options.arguments
            for name in options.ignored:
                log.warning("history_url_parameter_ignored", parameter=name)
        try:
            self._engine = create_async_engine(
                target,
                hide_parameters=True,
                pool_pre_ping=self.is_postgresql,
                pool_size=connections,
                max_overflow=0,
                pool_timeout=deadline,
                connect_args=dict(arguments),
            )
        except (SQLAlchemyError, ValueError, TypeError):
            raise ValueError(UNUSABLE) from None
        for name, act in POSTGRESQL_EVENTS if self.is_postgresql else SQLITE_EVENTS:
            event.listen(self._engine.sync_engine, name, act)
        self._sqlite = None if self.is_postgresql else SqliteBatches(target, deadline)

    @property
    def hand_overs(self) -> int:
        """How often the database's own loop was given something to do."""
        return self._thread.hand_overs

    def __repr__(self) -> str:
        return f"Database({self._engine.dialect.name})"

    async def run(
        self,
        work: Callable[[AsyncConnection], Awaitable[Value]],
        *,
        write: bool = False,
        deadline: float | None = None,
        autocommit: bool = False,
    ) -> Value:
        """Do `work` in one transaction, and return what it returns.

        `autocommit`: for statements that PostgreSQL takes in no transaction, each one alone.

        `work` runs on the database's own event loop, in another thread: it may use the connection
        and what is not changed elsewhere meanwhile, and its connection is good there alone.

        Work that has begun goes on to its end when its caller is cancelled. With SQLite it does
        even when it is late: a statement that runs in the driver's thread cannot be called back,
        and a connection abandoned in the middle would hold the file's lock for good.

        Raises `HistoryUnavailable` when it may work later, `Unstorable` when it never will.
        """
        limit = None if self.is_postgresql else deadline or 2 * self.deadline
        done = self._do(work, write=write, deadline=deadline, autocommit=autocommit)
        return await self._result(done, limit)

    async def run_at_once(self, work: Callable[[Connection], Value]) -> Value:
        """Do `work` in one writing transaction, as `run` does, without another loop in between.

        With SQLite, all of it is done in one thread in one go: nothing between two statements has
        to wait for the interpreter's lock and for a loop, while the file is locked.
        """
        if self._sqlite is None:
            return await self.run(lambda connection: connection.run_sync(work), write=True)
        return await self._result(self._sqlite.run(work), 2 * self.deadline)

    @asynccontextmanager
    async def _transaction(
        self, *, write: bool, deadline: float | None, autocommit: bool
    ) -> AsyncIterator[AsyncConnection]:
        """Open a transaction and commit it at the end; not to be cancelled in the middle.

        Only on the database's own loop: a pooled connection is good on one loop alone.
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
                    if autocommit:
                        await connection.execution_options(isolation_level="AUTOCOMMIT")
                    async with connection.begin():
                        yield connection
        except FAILURES as e:
            raise translated(e) from None

    async def _result(self, work: Coroutine[Any, Any, Value], limit: float | None) -> Value:
        """Have `work` done on the database's own loop; see `run`."""
        # No TaskGroup: it would cancel what must not be cancelled. `close` waits for the rest.
        future = asyncio.wrap_future(self._thread.submit(work))
        self._under_way.add(future)
        future.add_done_callback(self._finished)
        try:
            async with asyncio.timeout(limit):
                return await asyncio.shield(future)
        except TimeoutError:
            raise HistoryUnavailable("TimeoutError") from None
        except asyncio.CancelledError:
            await asyncio.wait([future], timeout=self.deadline)
            raise

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """Begin an INSERT of this database's own kind, which knows ON CONFLICT."""
        return postgresql.insert(table) if self.is_postgresql else sqlite.insert(table)

    async def close(self) -> None:
        """Let go of every connection, once what is under way has ended."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self.deadline)
        await asyncio.wrap_future(self._thread.submit(self._engine.dispose()))
        if self._sqlite is not None:
            await asyncio.wrap_future(self._thread.submit(self._sqlite.close()))
        await self._thread.stop()

    async def _do(
        self,
        work: Callable[[AsyncConnection], Awaitable[Value]],
        *,
        write: bool,
        deadline: float | None,
        autocommit: bool,
    ) -> Value:
        options = {"write": write, "autocommit": autocommit}
        async with self._transaction(deadline=deadline, **options) as connection:
            return await work(connection)

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # a caller that still waits has it; one that left needs no log line


def _keep_alive(connection: DBAPIConnection, _: object) -> None:
    """Let TCP notice a connection that a firewall has dropped without a word."""
    transport = getattr(connection.driver_connection, "_transport", None)
    line = None if transport is None else transport.get_extra_info("socket")
    if line is None or line.family not in (socket.AF_INET, socket.AF_INET6):
        return
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):  # not every system has all of them
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _begin_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql(TRANSACTION_SETTINGS)


def _left_behind(context: ExceptionContext) -> None:
    """Let go of the connection and of every other that was made before, where they mislead."""
    state = str(getattr(context.original_exception, "sqlstate", None) or "")
    if state.startswith(LEFT_BEHIND):
        context.is_disconnect = True


POSTGRESQL_EVENTS: Final = (
    ("connect", _keep_alive),
    ("begin", _begin_postgresql),
    ("handle_error", _left_behind),
)
