"""COPY is the quick way in, and never the only one: what it refuses, statements write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text as sql
from structlog.testing import capture_logs

from app.history.conversation import BatchPart, RecordedConversation
from app.history.copying import FEWEST
from app.history.partitioned import PARTITIONED
from app.history.reader import HistoryReader
from app.history.schema import events, turns
from app.history.store import Store
from app.protocol.close_codes import ENDED
from tests.history.feed import DOWN, NOW, converse, event, found, running, start, text, until
from tests.history.partitions import execute, nobody, recorder_on, transcript

if TYPE_CHECKING:
    from pydantic import SecretStr
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from tests.support.postgres import Postgres

MANY = 2 * FEWEST


@pytest.fixture
def url(postgres_url: SecretStr) -> SecretStr:
    """Of PostgreSQL alone."""
    return postgres_url


def batch(names: range, *, ends: bool = True) -> list[BatchPart]:
    """Parts of so many conversations: each a turn, an event and, if it ends, its end."""
    parts = []
    for number in names:
        conversation = RecordedConversation(start(f"c{number}"), content=True, transcript=None)
        part = BatchPart(conversation)
        conversation.frame(part, DOWN, NOW, text("user", f"said by {number}"))
        conversation.frame(part, DOWN, NOW, event("connection"))
        if ends:
            conversation.ended(part, ENDED, NOW + 1)
        parts.append(part)
    return parts


async def test_many_new_rows_are_copied_and_few_are_not(
    database: Database, postgres: Postgres
) -> None:
    name = await found(database, sql("SELECT current_database()"))
    await execute(database, f"ALTER DATABASE {name[0][0]} SET log_statement = 'all'")
    store = Store(database)
    await store.open()
    await database.close()  # new connections have the setting
    known = postgres.log().count("COPY")
    few, many = batch(range(FEWEST - 1)), batch(range(FEWEST, FEWEST + MANY))
    await store.write(few)
    assert postgres.log().count("COPY") == known
    await store.write(many)
    assert 'COPY "partitioned_turns"' in postgres.log()[known:]
    for part in (few[0], few[-1], many[0], many[-1]):
        conversation = part.conversation.start.id
        said = [("user", f"said by {conversation[1:]}", 1)]
        assert await transcript(database, conversation) == said


async def test_a_batch_of_which_some_was_written_is_written_once(database: Database) -> None:
    """As after a commit whose outcome was unknown."""
    store = Store(database)
    await store.open()
    parts = batch(range(MANY), ends=False)
    await store.write(parts[: MANY // 2])
    for part in parts:  # what the first try did is not known
        part.conversation.stored = False
        for turn in part.turns.values():
            turn.is_stored = False
        part.conversation.ended(part, ENDED, NOW + 5)
    assert await store.write(parts) == frozenset()
    reader = HistoryReader(database, nobody)
    kept = (await reader.conversations(limit=1000)).items
    assert [(each.ended_at, each.lost) for each in kept] == [(NOW + 5, 0)] * MANY
    for table in (turns, events):
        rows = await found(database, PARTITIONED[table].select())
        assert len(rows) == len({(row.conversation_id, row.number) for row in rows}) == MANY


async def test_turns_that_grow_are_told_from_new_ones(database: Database) -> None:
    store = Store(database)
    await store.open()
    parts = batch(range(MANY), ends=False)
    await store.write(parts)
    later = []
    for part in parts:
        more = BatchPart(part.conversation)
        part.conversation.frame(more, DOWN, NOW + 1, text("user", " and more"))
        part.conversation.frame(more, DOWN, NOW + 2, text("assistant", "an answer"))
        part.conversation.stored = True
        later.append(more)
    await store.write(later)
    for number in range(MANY):
        assert await transcript(database, f"c{number}") == [
            ("user", f"said by {number} and more", 2),
            ("assistant", "an answer", 1),
        ]


async def test_one_part_that_copy_refuses_takes_no_other_with_it(database: Database) -> None:
    recorder = recorder_on(database)
    async with running(recorder):
        said = [converse(recorder, f"c{number}", number) for number in range(MANY)]
        recorder.started(start("bad", started_at=None))  # no database takes it: NOT NULL
    assert recorder.counts().dropped == {"started": 1}
    for one in said:
        assert await transcript(database, one.id) == one.turns


async def test_a_conversation_erased_elsewhere_is_not_copied(
    database: Database, other: Database
) -> None:
    store = Store(database)
    await store.open()
    parts = batch(range(MANY), ends=False)
    await store.write(parts)
    for part in parts:
        part.conversation.stored = True
        part.turns.clear()
        part.events.clear()
        part.conversation.frame(part, DOWN, NOW, text("assistant", "more"))
    assert await HistoryReader(other, nobody).erase("ann") == MANY
    gone = await store.write([*parts, *batch(range(MANY, 2 * MANY))])
    assert gone == {part.conversation.start.id for part in parts}
    rows = await found(database, PARTITIONED[turns].select())
    assert {row.conversation_id for row in rows} == {f"c{n}" for n in range(MANY, 2 * MANY)}


async def test_a_read_only_server_is_told_as_before(database: Database, other: Database) -> None:
    """A demoted primary: its connections are given up, and the records wait."""
    recorder = recorder_on(database)
    async with running(recorder):
        converse(recorder, "before", 1)
        await until(lambda: recorder.counts().waiting == 0)
        await set_read_only(other, "SET default_transaction_read_only = on")
        with capture_logs() as logs:
            said = [converse(recorder, f"c{number}", number) for number in range(MANY)]
            await until(lambda: any(log["event"] == "history_lost" for log in logs))
        assert "read-only" in next(log["advice"] for log in logs if log["event"] == "history_lost")
        await set_read_only(other, "RESET default_transaction_read_only")
        await until(lambda: recorder.counts().waiting == 0)
    assert recorder.counts().dropped.total() == 0
    for one in said:
        assert await transcript(database, one.id) == one.turns


async def set_read_only(database: Database, setting: str) -> None:
    """Change what holds for all later connections, and end all others that there are."""
    terminate = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )

    async def work(connection: AsyncConnection) -> None:
        name = (await connection.execute(sql("SELECT current_database()"))).scalar_one()
        await connection.execute(sql(f"ALTER DATABASE {name} {setting}"))
        await connection.execute(sql(terminate))

    await database.run(work, write=True)
