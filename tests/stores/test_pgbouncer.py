"""History through a real PgBouncer, in both of its modes, with its own defaults."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from app.history.database import Database
from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.store import Store
from tests.history.feed import QUICK, converse, running, until
from tests.support.pgbouncer import PgBouncer

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from tests.support.postgres import Postgres

GATEWAYS = 3


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_gateways_write_and_read_through_a_pooler(postgres: Postgres, mode: str) -> None:
    """More clients than server connections, so that a pooler really mixes them."""
    direct = await postgres.database()
    size = 20 if mode == "session" else 2
    with PgBouncer(postgres.port, mode, size) as pooler:
        url = SecretStr(pooler.url(direct, postgres.port))
        databases = [Database(url, deadline=20) for _ in range(GATEWAYS)]
        try:
            await asyncio.gather(*(write_and_read(n, base) for n, base in enumerate(databases)))
        finally:
            for database in databases:
                await database.close()
        assert "unsupported startup parameter" not in pooler.log()


async def write_and_read(number: int, database: Database) -> None:
    """One gateway's life: conversations written, and every one read back by many at once."""
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    async with running(recorder):
        said = [converse(recorder, f"g{number}-{n}", n) for n in range(8)]
        await until(lambda: recorder.counts().waiting == 0)
    assert recorder.counts().dropped.total() == 0
    archive = HistoryReader(database, recorder.forget)
    for _ in range(3):
        pages = await asyncio.gather(*(archive.transcript(one.id) for one in said))
        for one, page in zip(said, pages, strict=True):
            assert [(t.source, t.text, t.pieces) for t in page.items] == one.turns


async def test_server_keeps_no_prepared_statement_of_a_pooled_client(postgres: Postgres) -> None:
    """A statement that stays on a server connection is met by the next client, or leaks."""
    direct = await postgres.database()
    with PgBouncer(postgres.port, "transaction", 1) as pooler:
        database = Database(SecretStr(pooler.url(direct, postgres.port)), deadline=20)
        try:
            await write_and_read(9, database)
            kept = await database.run(
                lambda connection: connection.exec_driver_sql(
                    "SELECT name FROM pg_prepared_statements WHERE name <> ''"
                )
            )
            assert kept.all() == []
        finally:
            await database.close()


async def test_settings_of_a_transaction_stay_in_it(postgres: Postgres) -> None:
    database = Database(SecretStr(await postgres.database()))
    names = ("idle_in_transaction_session_timeout", "jit")
    try:

        async def within(connection: AsyncConnection) -> tuple[Any, ...]:
            shown = [(await connection.exec_driver_sql(f"SHOW {name}")).scalar() for name in names]
            raw = await connection.get_raw_connection()
            return shown, raw.driver_connection, asyncio.get_running_loop()

        async def after() -> list[str]:
            return [await driver.fetchval(f"SHOW {name}") for name in names]

        shown, driver, loop = await database.run(within)
        assert shown == ["30s", "off"]
        asked = asyncio.run_coroutine_threadsafe(after(), loop)
        assert await asyncio.wrap_future(asked) == ["0", "on"]
    finally:
        await database.close()
