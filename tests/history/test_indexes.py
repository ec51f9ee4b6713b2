"""An index that a migration left out of a large table is built while it is written to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text as sql
from structlog.testing import capture_logs

from app.history.indexes import build_missing_indexes
from app.history.migrate import migrate
from tests.history.feed import found
from tests.history.partitions import Holding, execute
from tests.history.test_partitioned_upgrade import at_version

if TYPE_CHECKING:
    from pydantic import SecretStr

    from app.history.database import Database

INVALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'outbox_by_time'::regclass"


@pytest.fixture
def url(postgres_url: SecretStr) -> SecretStr:
    """Of PostgreSQL alone."""
    return postgres_url


async def is_valid(database: Database) -> bool | None:
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('outbox_by_time')"
    rows = await found(database, sql(query))
    return rows[0][0] if rows else None


async def test_a_large_table_is_indexed_after_the_upgrade(
    database: Database, other: Database
) -> None:
    await database.run(lambda c: c.run_sync(at_version, "0007"), write=True, deadline=60)
    await execute(database, "ALTER TABLE outbox SET (fillfactor = 10)")
    fill = (
        "INSERT INTO outbox SELECT n, 'old', 'delivered', NULL, false, n, n, n, 1, repeat('x', 300)"
        " FROM generate_series(1, 10000) n"
    )
    await execute(database, fill)
    await migrate(database)
    assert await is_valid(database) is None
    with capture_logs() as logs:
        async with Holding(other, "SELECT 1"):  # what is there already needs not be waited for
            building = asyncio.create_task(build_missing_indexes(database))
            await execute(other, "UPDATE outbox SET attempts = 2 WHERE id = '1'")
        await asyncio.wait_for(building, 60)
    assert [log["event"] for log in logs] == ["history_index_begun", "history_index_built"]
    assert await is_valid(database) is True
    with capture_logs() as logs:
        await build_missing_indexes(database)
    assert logs == [], "it is there"


async def test_an_index_that_was_given_up_is_built_anew(database: Database) -> None:
    await migrate(database)
    assert await is_valid(database) is True, "the table is small"
    await execute(database, INVALID)  # as after a crash while it was built
    await build_missing_indexes(database)
    assert await is_valid(database) is True


async def test_an_index_that_cannot_be_built_is_told_and_tried_again(
    database: Database, other: Database
) -> None:
    await migrate(database)
    await execute(database, "DROP INDEX outbox_by_time")
    await execute(database, "ALTER TABLE outbox RENAME COLUMN created_at TO born_at")
    with capture_logs() as logs:
        await build_missing_indexes(database)
    assert [log["event"] for log in logs][-1] == "history_index_failed"
    await execute(other, "ALTER TABLE outbox RENAME COLUMN born_at TO created_at")
    await build_missing_indexes(database)
    assert await is_valid(database) is True
