"""An older database on PostgreSQL is upgraded in place: its rows stay, new ones are partitioned."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text as sql

from app.history.migrate import migrate
from app.history.partitioned import PARTITIONED
from app.history.reader import HistoryReader
from app.history.schema import events, turns
from app.history.statements import KEPT, insert, replacing
from tests.history.feed import NOW, converse, found, running
from tests.history.partitions import Holding, nobody, recorder_on, tables_of, transcript
from tests.history.test_migrations import ROOT

if TYPE_CHECKING:
    from pydantic import SecretStr
    from sqlalchemy import Connection

    from app.history.database import Database

VERSIONS = [f"{number:04}" for number in range(1, 8)]


@pytest.fixture
def url(postgres_url: SecretStr) -> SecretStr:
    """Of PostgreSQL alone."""
    return postgres_url


def at_version(connection: Connection, version: str) -> None:
    """A database as a release with this schema left it, with one conversation."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "app" / "history" / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, version)
    for statement in (
        (
            "INSERT INTO conversations (id, agent, call_type, subject, started_at, ended_at, lost) "  # noqa: S608
            f"VALUES ('old', 'support', 'chat', 'ann', {NOW}, {NOW}, 0)"
        ),
        (
            "INSERT INTO turns (conversation_id, number, source, text, pieces, started_at, ended_at) "  # noqa: E501
            "SELECT 'old', n, 'user', 'said', 2, 1, 2 FROM generate_series(0, 4) n"
        ),
        (
            "INSERT INTO events (conversation_id, number, at, direction, type) "
            "VALUES ('old', 0, 1, 'from_upstream', 'event')"
        ),
        (
            "INSERT INTO tool_calls (conversation_id, number, call_id, name, outcome, at, seconds) "
            "VALUES ('old', 0, 'x', 'look', 'ok', 1, 1)"
        ),
        "INSERT INTO results (conversation_id, at, status) VALUES ('old', 1, 'Completed')",
    ):
        connection.execute(sql(statement))


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_database_of_each_older_version_is_read_written_and_forgotten(
    database: Database, version: str
) -> None:
    await database.run(lambda c: c.run_sync(at_version, version), write=True, deadline=60)
    recorder = recorder_on(database)
    async with running(recorder):
        new = converse(recorder, "new", 1)
    reader = HistoryReader(database, recorder.forget)
    page = await reader.transcript("old", limit=2)
    assert [turn.number for turn in page.items] == [0, 1]
    page = await reader.transcript("old", page.next)
    assert [(turn.number, turn.text) for turn in page.items] == [
        (2, "said"),
        (3, "said"),
        (4, "said"),
    ]
    assert (
        len((await reader.events("old")).items) == len((await reader.tool_calls("old")).items) == 1
    )
    result = await reader.result("old")
    assert result is not None
    assert result.status == "Completed"
    assert await transcript(database, "new") == new.turns
    assert await reader.erase("ann") == 1
    assert await found(database, sql("SELECT * FROM turns")) == []
    assert await reader.erase("subject-1") == 1
    for twin in PARTITIONED.values():
        assert await found(database, twin.select()) == []


async def test_an_upgrade_waits_fornobody_who_reads_or_writes(
    database: Database, other: Database
) -> None:
    await database.run(lambda c: c.run_sync(at_version, "0007"), write=True, deadline=60)
    writes = [f"UPDATE {table.name} SET conversation_id = 'old'" for table in PARTITIONED]  # noqa: S608
    async with Holding(other, *writes, "UPDATE conversations SET lost = 1"):
        await asyncio.wait_for(migrate(database), 30)
        assert await tables_of(database, "partitioned_turns") == {"partitioned_turns_default"}


async def test_an_older_release_writes_on_and_is_read(database: Database) -> None:
    """Its statements name columns of the tables that it knows, and their primary keys."""
    await migrate(database)
    grown = replacing(turns, ("text", "pieces", "ended_at"), "excluded.pieces >= turns.pieces")
    said = insert(turns, grown, is_postgresql=True)
    happened = insert(events, KEPT, is_postgresql=True)

    def write(connection: Connection) -> None:
        connection.execute(
            sql(
                "INSERT INTO conversations (id, agent, call_type, subject, started_at, lost) "  # noqa: S608
                f"VALUES ('c', 'a', 'chat', 'ann', {NOW}, 0)"
            )
        )
        for pieces, words in ((1, "one"), (2, "one two"), (1, "one")):
            said.execute(connection, [("c", 0, "user", words, pieces, 1.0, 2.0, "", False)])
            happened.execute(connection, [("c", 0, 1.0, "from_upstream", "event", None, None)])

    await database.run(lambda c: c.run_sync(write), write=True)
    assert await transcript(database, "c") == [("user", "one two", 2)]
    assert len((await HistoryReader(database, nobody).events("c")).items) == 1
