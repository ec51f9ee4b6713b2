"""A PostgreSQL primary that is demoted behind its name, and other ways a connection goes bad."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.history.database import Database
from app.history.errors import HistoryUnavailable
from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.store import Store
from tests.history.feed import QUICK, converse, running, until
from tests.stores.sockets import timers
from tests.support.postgres import USER, Postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@asynccontextmanager
async def administrator(server: Postgres, database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, user=USER, database=database
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def recording(server: Postgres) -> AsyncIterator[tuple[Database, QueueRecorder]]:
    """A recorder that has written one conversation, and writes another after the block."""
    database = Database(SecretStr(await server.database()))
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    async with running(recorder):
        converse(recorder, "before", 1)
        await until(lambda: recorder.counts().waiting == 0)
        yield database, recorder
        converse(recorder, "after", 2)
        await until(lambda: recorder.counts().waiting == 0, 20)
    assert recorder.counts().dropped.total() == 0
    page = await HistoryReader(database, recorder.forget).conversations()
    assert {item.id for item in page.items} == {"before", "after"}
    await database.close()


async def write_for_ever(database: Database) -> None:
    """Write until that fails."""
    while True:
        await database.run(lambda c: c.exec_driver_sql("CREATE TABLE probe ()"), write=True)
        await database.run(lambda c: c.exec_driver_sql("DROP TABLE probe"), write=True)


async def test_primary_turned_read_only_is_left_and_nothing_is_lost(
    own_postgres: Postgres,
) -> None:
    """Connections that exist are read-only, new ones write: as when a name has moved on."""
    async with (
        recording(own_postgres) as (database, _),
        administrator(own_postgres, "postgres") as admin,
    ):
        await admin.execute(f"ALTER ROLE {USER} SET default_transaction_read_only = off")
        await admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await admin.execute("SELECT pg_reload_conf()")
        # The name leads elsewhere: a pooled connection keeps what it had.
        with pytest.raises(HistoryUnavailable) as lost:
            await write_for_ever(database)
    assert "25006" in str(lost.value)
    assert "RELAY_HISTORY_URL must lead to the primary" in lost.value.advice


async def test_connections_that_the_server_ends_are_made_anew(own_postgres: Postgres) -> None:
    async with recording(own_postgres), administrator(own_postgres, "postgres") as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'blackbox-relay'"
        )


async def test_role_that_may_not_create_tables_is_told_so_and_heals(postgres: Postgres) -> None:
    """What PostgreSQL 15 does by default with a role that does not own the database."""
    url = await postgres.database()
    name = url.rpartition("/")[2]
    async with administrator(postgres, name) as admin:
        await admin.execute(f'CREATE ROLE "{name}" LOGIN')
        await admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        database = Database(SecretStr(url.replace(f"{USER}:not-asked-for", name)))
        recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
        with capture_logs() as logs:
            async with running(recorder):
                converse(recorder, "waits", 1)
                await until(lambda: any(log["event"] == "history_lost" for log in logs))
                await admin.execute(f'GRANT CREATE ON SCHEMA public TO "{name}"')
                await until(lambda: recorder.counts().waiting == 0, 20)
    lost = next(log for log in logs if log["event"] == "history_lost")
    assert lost["error"] == "InsufficientPrivilegeError 42501"
    assert "GRANT CREATE ON SCHEMA public" in lost["advice"]
    assert recorder.counts().dropped.total() == 0
    await database.close()


async def test_idle_connection_is_kept_alive_by_tcp(postgres: Postgres) -> None:
    """A firewall that forgets idle connections must see them, or we must see that it did."""
    database = Database(SecretStr(await postgres.database()))
    try:
        await database.run(lambda c: c.exec_driver_sql("SELECT 1"))
        found = timers(postgres.port)
        assert found
        assert all(kind == "keepalive" and seconds <= 30 for kind, seconds in found), found
    finally:
        await database.close()
