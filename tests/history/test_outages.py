"""A database that is slow, gone or full: nothing raises, and every loss is counted."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from structlog.testing import capture_logs

from app.history.database import Database
from app.history.errors import HistoryUnavailable
from app.history.partitioned import all_rows
from app.history.reader import HistoryReader
from app.history.recorder import QueueRecorder
from app.history.schema import conversations, events, results, tool_calls, turns
from app.history.store import Store
from tests.history.disk import fill, open_home, small_disk
from tests.history.feed import QUICK, Said, converse, running, until
from tests.support.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

SMALL = replace(QUICK, count=400, batch=50)


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def home() -> Iterator[Path]:
    with open_home() as directory:
        yield directory


async def stored(database: Database) -> dict[str, int]:
    """Count what is in the database, in records as they were fed."""
    every = {
        table: all_rows(table, is_postgresql=database.is_postgresql)
        for table in (turns, events, results, tool_calls)
    }
    queries = {
        "started": select(func.count()).select_from(conversations),
        "pieces": select(func.coalesce(func.sum(every[turns].c.pieces), 0)),
        "events": select(func.count()).select_from(every[events]),
        "results": select(func.count()).select_from(every[results]),
        "tool": select(func.count()).select_from(every[tool_calls]),
        "ended": select(func.count()).where(conversations.c.ended_at.is_not(None)),
    }

    async def look(connection: AsyncConnection) -> dict[str, int]:
        return {name: (await connection.execute(q)).scalar_one() for name, q in queries.items()}

    found = await database.run(look, deadline=30)
    found["frame"] = found.pop("pieces") + found.pop("events") + found.pop("results")
    return found


async def assert_no_record_is_unaccounted(
    database: Database, recorder: QueueRecorder, said: list[Said]
) -> None:
    counts, found = recorder.counts(), await stored(database)
    assert counts.waiting == counts.bytes == counts.skipped == 0
    fed = {"frame": sum(s.frames for s in said), "tool": sum(s.tools for s in said)}
    fed |= {"ended": len(said)}
    for kind, number in fed.items():
        assert number == counts.written[kind] + counts.dropped[kind], kind
        assert found[kind] == counts.written[kind], kind
    # A start that was pushed out is made up for by any later record: an end, at the least.
    assert counts.dropped["started"] == 0
    assert len(said) == counts.written["started"] == found["started"]


async def feed(recorder: QueueRecorder, names: str, number: int, rest: float = 0.0) -> list[Said]:
    said = []
    for at in range(number):
        said.append(converse(recorder, f"{names}{at}", at))
        await asyncio.sleep(rest)
    return said


async def test_a_frozen_database_loses_nothing_within_the_bound(own_postgres: Postgres) -> None:
    database = Database(SecretStr(await own_postgres.database()), deadline=2.0)
    lost: list[int] = []
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database), on_dropped=lost.append)
    async with running(recorder):
        said = await feed(recorder, "before", 300)
        await until(lambda: recorder.counts().written["ended"] >= 100)
        own_postgres.pause()
        began = time.monotonic()
        while time.monotonic() - began < 4.5:  # the freeze itself is what is waited for
            said += await feed(recorder, f"during{time.monotonic()}-", 2, 0.01)
        own_postgres.resume()
        said += await feed(recorder, "after", 100)
    assert not lost
    await assert_no_record_is_unaccounted(database, recorder, said)
    archive = HistoryReader(database, recorder.forget)
    for one in said:
        page = await archive.transcript(one.id)
        assert [(t.source, t.text, t.pieces) for t in page.items] == one.turns
    await database.close()


async def test_a_database_that_is_killed_and_restarted_loses_what_is_counted(
    own_postgres: Postgres,
) -> None:
    database = Database(SecretStr(await own_postgres.database()), deadline=2.0)
    lost: list[int] = []
    recorder = QueueRecorder(SMALL, time.monotonic, Store(database), on_dropped=lost.append)
    async with running(recorder):
        said = await feed(recorder, "before", 100, 0.002)
        await until(lambda: recorder.counts().written["ended"] > 0)
        own_postgres.kill()
        said += await feed(recorder, "during", 200, 0.002)
        own_postgres.start()
        await until(lambda: recorder.counts().waiting == 0)
        said += await feed(recorder, "after", 20, 0.01)
    counts = recorder.counts()
    assert counts.dropped["frame"] > 1000
    assert sum(lost) == counts.dropped.total()
    await assert_no_record_is_unaccounted(database, recorder, said)
    archive = HistoryReader(database, recorder.forget)
    for one in said[-20:]:
        page = await archive.transcript(one.id)
        assert [(t.source, t.text, t.pieces) for t in page.items] == one.turns
    kept = [await archive.conversation(one.id) for one in said]
    assert sum(c.lost for c in kept if c is not None) > 0
    assert all(c is not None and c.ended_at is not None for c in kept)
    await database.close()


async def test_a_database_that_comes_late_gets_what_was_kept_for_it(
    own_postgres: Postgres,
) -> None:
    database = Database(SecretStr(await own_postgres.database()), deadline=2.0)
    own_postgres.stop()
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    async with running(recorder):
        said = await feed(recorder, "c", 20)
        with pytest.raises(HistoryUnavailable):
            await HistoryReader(database, recorder.forget).conversations()
        own_postgres.start()
        await until(lambda: recorder.counts().waiting == 0)
    assert recorder.counts().dropped.total() == 0
    await assert_no_record_is_unaccounted(database, recorder, said)
    await database.close()


async def test_a_flush_ends_in_time_and_counts_what_it_leaves(own_postgres: Postgres) -> None:
    database = Database(SecretStr(await own_postgres.database()), deadline=30.0)
    own_postgres.stop()
    lost: list[int] = []
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database), on_dropped=lost.append)
    began = time.monotonic()
    async with running(recorder, flush=0.5):
        said = await feed(recorder, "c", 20)
    assert time.monotonic() - began < 25, "the database's own deadline is 30 s"
    fed = sum(s.frames + s.tools + 2 for s in said)
    assert sum(lost) == recorder.counts().dropped.total() == fed
    assert recorder.counts().bytes == 0
    await database.close()


async def test_a_full_disk_under_sqlite_loses_what_is_counted(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "24m") as disk:
        ballast = disk / "ballast"
        database = Database(SecretStr(f"sqlite+aiosqlite:///{disk}/history.db"), deadline=10.0)
        # Told again every ten seconds, for as long as a busy machine takes to fill the disk.
        assert set(await fill_and_free(database, ballast)) == {"OperationalError"}
        await database.close()


async def test_a_full_disk_under_postgresql_loses_what_is_counted(home: Path) -> None:
    with (
        small_disk(home / "disk", "64m") as disk,
        Postgres(disk, max_wal_size="2MB", min_wal_size="2MB") as server,
    ):
        database = Database(SecretStr(await server.database()), deadline=10.0)
        await fill_and_free(database, disk / "ballast", server)
        assert "No space left on device" in server.log()
        await database.close()


async def fill_and_free(
    database: Database, ballast: Path, server: Postgres | None = None
) -> list[str]:
    """Record before, during and after the disk is full, and account for every record.

    Returns the troubles that the recorder spoke of.
    """
    recorder = QueueRecorder(SMALL, time.monotonic, Store(database))
    with capture_logs() as logs:
        async with running(recorder):
            said = await feed(recorder, "before", 20, 0.02)
            await until(lambda: recorder.counts().waiting == 0)
            logs.clear()
            fill(ballast)
            number = 0
            while recorder.counts().dropped["frame"] < 500 or not logs:
                assert number < 20_000, "the disk was never full"
                said += await feed(recorder, f"during{number}-", 10, 0.02)
                number += 10
            os.unlink(ballast)  # noqa: PTH108 - a coroutine may not say `.unlink()`
            if server is not None:
                server.revive()
            await until(lambda: recorder.counts().waiting == 0)
            said += await feed(recorder, "after", 20, 0.02)
    await assert_no_record_is_unaccounted(database, recorder, said)
    archive = HistoryReader(database, recorder.forget)
    for one in said[-20:]:
        page = await archive.transcript(one.id)
        assert [(t.source, t.text, t.pieces) for t in page.items] == one.turns
    return [log["error"] for log in logs if log["event"] == "history_lost"]
