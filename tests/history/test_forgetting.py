"""Erasure by subject and retention by age: what must go is gone, and nothing else is."""

from __future__ import annotations

import asyncio
import time

import pytest
from pydantic import SecretStr
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import create_async_engine

from app.history.cursor import encode
from app.history.database import Database
from app.history.errors import InvalidCursor
from app.history.migrate import migrate
from app.history.partitioned import PARTITIONED
from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.results.composer import Composer
from app.history.retention import LOCK, Retention
from app.history.schema import metadata
from app.history.store import Store
from app.protocol.close_codes import ENDED
from tests.history.feed import DOWN, NOW, QUICK, converse, found, running, start, text, until

TABLES = ("conversations", "turns", "events", "tool_calls", "results", "outbox")
DAY = 86_400.0


async def rows(database: Database) -> dict[str, int]:
    return {
        table: sum(
            [
                (await found(database, sql(f"SELECT count(*) FROM {each}")))[0][0]  # noqa: S608
                for each in places(database, table)
            ]
        )
        for table in TABLES
    }


def places(database: Database, table: str) -> list[str]:
    """The table and, where there is one, its partitioned twin."""
    twin = PARTITIONED.get(metadata.tables[table]) if database.is_postgresql else None
    return [table, *([twin.name] if twin is not None else [])]


async def test_erasing_a_subject_leaves_nothing_of_it_and_all_of_the_others(
    database: Database,
) -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database), composer=Composer())
    archive = HistoryReader(database, recorder.forget)
    async with running(recorder):
        for number in range(40):  # ten subjects, four conversations each
            converse(recorder, f"c{number}", number)
        await until(lambda: recorder.counts().waiting == 0)
        before = await rows(database)
        assert min(before.values()) > 0
        assert await archive.erase("subject-3") == 4
        assert await archive.erase("subject-3") == 0
    after = await rows(database)
    assert after["conversations"] == after["outbox"] == after["results"] == 36
    left = (await archive.conversations(limit=1000)).items
    assert "subject-3" not in {c.subject for c in left}
    for table in [place for each in TABLES[1:] for place in places(database, each)]:
        orphans = sql(
            f"SELECT conversation_id FROM {table} WHERE conversation_id NOT IN "  # noqa: S608
            "(SELECT id FROM conversations)"
        )
        assert await found(database, orphans) == []


async def test_erasing_covers_what_lives_and_what_still_waits(database: Database) -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database), composer=Composer())
    archive = HistoryReader(database, recorder.forget)
    await migrate(database)
    recorder.started(start("ended", subject="ann"))
    recorder.frame("ended", DOWN, NOW, text("user", "x"))
    recorder.ended("ended", ENDED, NOW)
    recorder.started(start("live", subject="ann"))
    recorder.started(start("other", subject="bob"))
    assert await archive.erase("ann") == 2
    recorder.frame("live", DOWN, NOW, text("user", "said after the erasure"))
    recorder.ended("live", ENDED, NOW)
    recorder.ended("other", ENDED, NOW)
    async with running(recorder):
        await until(lambda: recorder.counts().waiting == 0)
    assert (await rows(database)) == dict.fromkeys(TABLES, 0) | {"conversations": 1, "outbox": 1}
    counts = recorder.counts()
    assert counts.erased == 6
    assert counts.dropped.total() == counts.bytes == 0


async def test_a_conversation_that_another_replica_erased_is_written_no_more(
    database: Database, url: SecretStr
) -> None:
    elsewhere = Database(url)

    async def nobody(_: str, __: str | None) -> frozenset[str]:
        return frozenset()

    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    async with running(recorder):
        recorder.started(start("c1"))
        recorder.frame("c1", DOWN, NOW, text("user", "one"))
        await until(lambda: recorder.counts().waiting == 0)
        assert await HistoryReader(elsewhere, nobody).erase("ann") == 1
        recorder.frame("c1", DOWN, NOW, text("assistant", "two"))
        recorder.ended("c1", ENDED, NOW)
        await until(lambda: recorder.counts().waiting == 0)
    assert (await rows(database)) == dict.fromkeys(TABLES, 0)
    assert recorder.counts().erased == 2
    await elsewhere.close()


async def test_erasing_while_it_is_written_leaves_nothing(database: Database) -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    archive = HistoryReader(database, recorder.forget)
    await migrate(database)
    async with running(recorder):
        for number in range(100):
            converse(recorder, f"c{number}", 3)
            if number % 10 == 0:
                await archive.erase("subject-3")
        await until(lambda: recorder.counts().waiting == 0)
        await archive.erase("subject-3")
    assert (await rows(database)) == dict.fromkeys(TABLES, 0)


async def test_what_is_too_old_is_deleted_in_bites(database: Database) -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    async with running(recorder):
        for number in range(25):
            recorder.started(start(f"old{number}", started_at=NOW - 40 * DAY))
            recorder.frame(f"old{number}", DOWN, NOW, text("user", "x"))
            recorder.ended(f"old{number}", ENDED, NOW - 40 * DAY)
        recorder.started(start("long", started_at=NOW - 31 * DAY))
        recorder.ended("long", ENDED, NOW - 29 * DAY)
        recorder.started(start("new"))
    retention = Retention(database, 30, lambda: NOW, bite=10, rest=0)
    assert await retention.once() == 25
    assert await retention.once() == 0
    left = (await HistoryReader(database, recorder.forget).conversations()).items
    assert {c.id for c in left} == {"long", "new"}
    assert (await rows(database))["turns"] == 0


async def test_only_one_replica_deletes_at_a_time(postgres_url: SecretStr) -> None:
    database = Database(postgres_url)
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    async with running(recorder):
        recorder.started(start("old", started_at=NOW - 40 * DAY))
    retention = Retention(database, 30, lambda: NOW)
    other = create_async_engine(postgres_url.get_secret_value())
    async with other.begin() as connection:
        await connection.execute(sql("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        assert await retention.once() == 0
    await other.dispose()
    assert await retention.once() == 1
    await database.close()


async def test_retention_outlives_a_lost_database() -> None:
    database = Database(SecretStr("postgresql+asyncpg://relay@127.0.0.1:1/none"))
    retention = Retention(database, 30, lambda: NOW, every=0.01)
    task = asyncio.create_task(retention.run())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(task, 0.5)
    await database.close()


@pytest.mark.parametrize(
    "cursor",
    ["", "?", "e30", "WzFd", "x" * 5000, encode(1.5), encode("a", 1.5), encode(1.5, "a", 2.0)],
)
async def test_a_cursor_that_is_none_is_refused(database: Database, cursor: str) -> None:
    archive = HistoryReader(database, QueueRecorder(QUICK, time.monotonic, Store(database)).forget)
    with pytest.raises(InvalidCursor):
        await archive.conversations(cursor=cursor)
