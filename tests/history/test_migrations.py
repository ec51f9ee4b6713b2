"""The schema: what models say is what migrations make, however many replicas start."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import inspect, text

from app.history.database import Database
from app.history.errors import HistoryUnavailable
from app.history.migrate import migrate
from app.history.partitioned import partitioned_metadata
from app.history.schema import metadata
from app.history.store import Store

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

ROOT = Path(__file__).parents[2]


def differences(connection: Connection) -> list[object]:
    is_postgresql = connection.dialect.name == "postgresql"
    models = [metadata, partitioned_metadata] if is_postgresql else [metadata]
    looked_at = inspect(connection)
    tables = [table for each in models for table in each.tables.values()]
    partitions = {name for name in looked_at.get_table_names() if name.endswith("_default")}
    options = {"compare_type": True, "include_name": lambda name, *_: name not in partitions}
    context = MigrationContext.configure(connection, opts=options)
    # Alembic takes several, which its annotation does not say.
    found: list[object] = compare_metadata(context, models)  # type: ignore[arg-type]
    for table in tables:  # what autogenerate does not compare
        keys = looked_at.get_pk_constraint(table.name)["constrained_columns"]
        if keys != [column.name for column in table.primary_key.columns]:
            found.append((table.name, keys))
        found += [
            (table.name, foreign)
            for foreign in looked_at.get_foreign_keys(table.name)
            if foreign["options"] != {"ondelete": "CASCADE"}
        ]
    return found


async def test_models_and_migrations_agree(database: Database) -> None:
    await migrate(database)
    assert await database.run(lambda c: c.run_sync(differences)) == []


async def test_replicas_that_start_together_migrate_once(
    url: SecretStr, database: Database
) -> None:
    replicas = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.history.migrator",
            url.get_secret_value(),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for replica in replicas:
        out, err = await asyncio.wait_for(replica.communicate(), 60)
        assert (replica.returncode, out) == (0, b"migrated\n"), err.decode()

    async def look(connection: AsyncConnection) -> tuple[int, list[object]]:
        versions = await connection.execute(text("SELECT version_num FROM alembic_version"))
        return len(versions.all()), await connection.run_sync(differences)

    assert await database.run(look) == (1, [])


def first_release(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "app" / "history" / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    connection.execute(
        text(
            "INSERT INTO conversations (id, agent, call_type, subject, started_at, lost) "
            "VALUES ('old', 'support', 'chat', 'ann', 1.5, 0)"
        )
    )


async def test_an_old_database_is_upgraded_in_place(database: Database) -> None:
    await database.run(lambda c: c.run_sync(first_release), write=True)
    await migrate(database)

    async def look(connection: AsyncConnection) -> tuple[RowMapping, list[object]]:
        row = (await connection.execute(text("SELECT * FROM conversations"))).mappings().one()
        return row, await connection.run_sync(differences)

    row, found = await database.run(look)
    assert found == []
    assert (row["id"], row["started_at"], row["tenant"], row["replica"]) == ("old", 1.5, None, None)


async def test_a_schema_from_the_future_is_left_alone_and_used(database: Database) -> None:
    await migrate(database)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await database.run(lambda connection: connection.execute(newer), write=True)
    store = Store(database)
    await store.open()
    assert await store.write([]) == frozenset()


async def test_no_password_is_shown_when_the_database_is_not_there() -> None:
    database = Database(SecretStr("postgresql+asyncpg://relay:hunter2@127.0.0.1:1/none"))
    assert "hunter2" not in repr(database)
    with pytest.raises(HistoryUnavailable) as caught:
        await migrate(database)
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    await database.close()
