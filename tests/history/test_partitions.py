"""PostgreSQL's partitions: made in time, dropped when old, and never a reason to lose a row."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text as sql
from structlog.testing import capture_logs

from app.history.database import Database
from app.history.migrate import migrate
from app.history.partitioned import DAY, PARTITIONED
from app.history.partitions import LOCK, Partition, Partitions, gap
from app.history.reader import HistoryReader
from app.history.retention import Retention
from app.history.schema import events, turns
from app.protocol.close_codes import ENDED
from tests.history.feed import DOWN, NOW, converse, found, running, start, text, until
from tests.history.partitions import (
    Holding,
    execute,
    places_of,
    recorder_on,
    tables_of,
    transcript,
)

if TYPE_CHECKING:
    from pydantic import SecretStr

TODAY = "20260921"
"""The day of `NOW`."""


@pytest.fixture
def url(postgres_url: SecretStr) -> SecretStr:
    """Of PostgreSQL alone."""
    return postgres_url


@pytest.mark.parametrize(
    ("there", "day", "width", "wanted"),
    [
        ([], 20, 1, (20, 21)),
        ([], 20, 7, (14, 21)),
        ([(14, 21)], 20, 7, None),
        ([(19, 20), (21, 22)], 20, 7, (20, 21)),
        ([(14, 16)], 20, 7, (16, 21)),
        ([(14, 21)], 21, 1, (21, 22)),
    ],
)
def test_a_gap_is_filled_and_nothing_else(
    there: list[tuple[int, int]], day: int, width: int, wanted: tuple[int, int] | None
) -> None:
    partitions = [Partition("x", since * DAY, until * DAY) for since, until in there]
    expected = None if wanted is None else (wanted[0] * DAY, wanted[1] * DAY)
    assert gap(partitions, day, width) == expected


async def test_what_is_written_goes_to_the_partition_of_its_start(database: Database) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        said = [converse(recorder, f"c{n}", n, at=NOW + n * DAY) for n in range(3)]
    for number, one in enumerate(said):
        assert await transcript(database, one.id) == one.turns
        assert await places_of(database, one.id) == {f"turns_{int(TODAY) + number}"}


async def test_replicas_that_start_together_make_each_partition_once(
    database: Database, other: Database
) -> None:
    await migrate(database)
    with capture_logs() as logs:
        await asyncio.gather(*(Partitions(each).maintain(NOW, 0.0) for each in (database, other)))
    made = [name for log in logs for name in log.get("tables", ())]
    assert sorted(made) == sorted(set(made))
    for twin in PARTITIONED.values():
        assert len(await tables_of(database, twin.name)) == 5, "today, three days ahead, default"
    assert {log["event"] for log in logs} == {"history_partitions_made"}


async def test_old_partitions_are_dropped_and_what_ended_later_stays(database: Database) -> None:
    recorder, old = recorder_on(database), NOW - 40 * DAY
    async with running(recorder):
        for number in range(5):
            converse(recorder, f"old{number}", number, at=old)
        converse(recorder, "within", 1, at=NOW - 3 * DAY)
        recorder.started(start("long", started_at=old))
        recorder.frame("long", DOWN, old, text("user", "kept"))
        recorder.ended("long", ENDED, NOW - 29 * DAY)
    before = await tables_of(database, "partitioned_turns")
    retention = Retention(database, 30, lambda: NOW, rest=0)
    with capture_logs() as logs:
        assert await retention.once() == 5
    assert not [log for log in logs if log["log_level"] == "warning"]
    after = await tables_of(database, "partitioned_turns")
    assert before - after == {"turns_20260812"}
    assert await transcript(database, "long") == [("user", "kept", 1)]
    assert await places_of(database, "long") == {"partitioned_turns_default"}
    later = Retention(database, 28, lambda: NOW, rest=0)
    assert await later.once() == 1
    for twin in PARTITIONED.values():
        assert await found(database, sql(f"SELECT * FROM {twin.name}_default")) == []  # noqa: S608
    assert await transcript(database, "within") != []


async def test_a_partition_in_use_is_left_for_the_next_time(
    database: Database, other: Database
) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        converse(recorder, "old", 1, at=NOW - 40 * DAY)
    retention = Retention(database, 30, lambda: NOW, rest=0)
    async with Holding(other, "SELECT count(*) FROM partitioned_turns"):
        with capture_logs() as logs:
            assert await retention.once() == 1
        kept = [log["table"] for log in logs if log["event"] == "history_partition_kept"]
        assert kept == ["turns_20260812"]
        assert await transcript(database, "old") == [], "its conversation is gone"
    await retention.once()
    assert "turns_20260812" not in await tables_of(database, "partitioned_turns")


@pytest.mark.parametrize("how", ["DROP TABLE", "ALTER TABLE partitioned_turns DETACH PARTITION"])
async def test_what_finds_no_partition_is_kept_told_and_moved(database: Database, how: str) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        converse(recorder, "before", 1)
        await until(lambda: recorder.counts().waiting == 0)
        await execute(database, f"{how} turns_{TODAY}")
        said = converse(recorder, "after", 2)
    assert recorder.counts().dropped.total() == 0
    assert await transcript(database, "after") == said.turns
    assert await places_of(database, "after") == {"partitioned_turns_default"}
    if "DETACH" in how:  # whoever took it may want it: its name is theirs now
        await execute(database, f"ALTER TABLE turns_{TODAY} RENAME TO mine")
    with capture_logs() as logs:
        await Partitions(database).maintain(NOW + DAY, 0.0)
    told = [log["days"] for log in logs if log["event"] == "history_rows_without_partition"]
    assert told == [["2026-09-21"]]
    assert await places_of(database, "after") == {f"turns_{TODAY}"}
    assert await transcript(database, "after") == said.turns


async def test_no_partition_can_be_made_and_nothing_is_lost(
    database: Database, other: Database
) -> None:
    await migrate(database)
    recorder = recorder_on(database)
    with capture_logs() as logs:
        async with Holding(other, f"SELECT pg_advisory_xact_lock({LOCK})"):
            async with running(recorder):
                said = converse(recorder, "c", 1)
            assert await places_of(database, "c") == {"partitioned_turns_default"}
    assert [log["event"] for log in logs] == ["history_partition_failed"]
    await Partitions(database).maintain(NOW, 0.0)
    assert await places_of(database, "c") == {f"turns_{TODAY}"}
    assert await transcript(database, "c") == said.turns


async def test_a_partition_that_an_administrator_locks_delays_rows_and_loses_none(
    postgres_url: SecretStr, other: Database
) -> None:
    database = Database(postgres_url, deadline=0.3)
    recorder = recorder_on(database)
    async with running(recorder):
        converse(recorder, "before", 1)
        await until(lambda: recorder.counts().waiting == 0)
        with capture_logs() as logs:
            async with Holding(other, f"LOCK TABLE turns_{TODAY} IN ACCESS EXCLUSIVE MODE"):
                said = converse(recorder, "during", 2)
                await until(lambda: any(log["event"] == "history_lost" for log in logs))
            await until(lambda: recorder.counts().waiting == 0)
    assert recorder.counts().dropped.total() == 0
    assert await transcript(other, "during") == said.turns
    await database.close()


async def test_erasure_leaves_nothing_in_any_partition(database: Database) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        for number in range(6):
            converse(recorder, f"c{number}", number % 2, at=NOW + number * DAY)
    assert await HistoryReader(database, recorder.forget).erase("subject-1") == 3
    for twin in PARTITIONED.values():
        left: Any = await found(database, twin.select())
        assert {row.conversation_id for row in left} <= {"c0", "c2", "c4"}
    assert await found(database, PARTITIONED[turns].select()) != []
    assert await found(database, PARTITIONED[events].select()) != []
