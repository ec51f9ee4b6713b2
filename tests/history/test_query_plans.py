"""Every query of the API and of the gateway's own work finds its rows by an index, at any size.

The plans are those of the statements that the code really executes. With 100,000 rows, tables are
so small that reading them whole is often cheaper: there the planner is told not to, where any index
serves. With 10 million rows (nightly) it is left alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from app.history.cursor import encode
from app.history.database import Database
from app.history.lifecycle.deliveries import Deliveries, DeliveryFilters
from app.history.lifecycle.stored import messages_of
from app.history.listing import STEP, STEPS
from app.history.model import Filters
from app.history.pending_ends import write_ends
from app.history.reader import HistoryReader
from app.history.results.database_outbox import DatabaseOutbox
from app.history.retention import Retention
from app.history.usage import Group, UsageReader
from tests.history.feed import NOW
from tests.history.partitions import nobody
from tests.history.plans import (
    AUTO_EXPLAIN,
    DAYS,
    ROWS,
    SUBJECTS,
    TURNS,
    fill,
    plans_of,
)
from tests.support.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection

DAY = 86_400.0
LIMIT = 100
FEW, MANY = 10_000, 1_000_000
"""Conversations, each of ten rows."""

NIGHTLY = (pytest.mark.nightly, pytest.mark.timeout(3600))


class Filled:
    """A server with so many conversations, and what is asked of it."""

    def __init__(self, server: Postgres, database: Database, conversations: int) -> None:
        self.server = server
        self.database = database
        self.count = conversations
        self.reader = HistoryReader(database, nobody)

    async def check(self, most: float, work: Awaitable[object]) -> None:
        """Do the work: no table is read whole, and no statement reads more rows than `most`."""
        plans = await plans_of(self.server, work)
        assert plans
        for plan in plans:
            assert not plan.whole_tables, (plan.whole_tables, plan.text)
            assert plan.rows <= most, (plan.rows, plan.text)


LISTS: dict[str, dict[str, Any]] = {
    "all": {},
    "agent": {"agent": "agent-7"},
    "tenant": {"tenant": "tenant-7"},
    "subject": {"subject": "subject-7"},
    "time": {"since": NOW - 9 * DAY, "until": NOW - 3 * DAY},
    "tenant and time": {"tenant": "tenant-7", "since": NOW - 9 * DAY, "until": NOW - 3 * DAY},
    "rare call type": {"call_type": "onPhone"},
    "tenant and agent": {"tenant": "tenant-7", "agent": "agent-7"},
    "an agent of another tenant": {"tenant": "tenant-7", "agent": "agent-8"},
    "tenant and call type": {"tenant": "tenant-7", "call_type": "onPhone"},
    "no such call type": {"call_type": "none"},
    "no such agent": {"agent": "none"},
}


@pytest.fixture(scope="module", params=[FEW, pytest.param(MANY, marks=NIGHTLY)])
def filled(request: pytest.FixtureRequest) -> Iterator[Filled]:
    options: dict[str, Any] = AUTO_EXPLAIN | {"shared_buffers": "512MB", "max_wal_size": "4GB"}
    if request.param < MANY:
        options["enable_seqscan"] = "off"
    with Postgres(**options) as server:
        url = asyncio.run(server.database())
        database = Database(SecretStr(url))
        asyncio.run(fill(database, request.param))
        asyncio.run(database.close())
        yield Filled(server, database, request.param)


@pytest.fixture(autouse=True)
async def closed(filled: Filled) -> AsyncIterator[None]:
    yield
    await filled.database.close()


@pytest.mark.parametrize("name", LISTS)
async def test_a_page_of_a_list_reads_a_bounded_number_of_rows(filled: Filled, name: str) -> None:
    filters = Filters(**LISTS[name])
    for cursor in (None, encode(NOW - 5 * DAY, "c"), encode(NOW - (DAYS - 1) * DAY, "c")):
        await filled.check(2 * STEP, filled.reader.conversations(filters, cursor, LIMIT))


async def test_pages_of_filters_without_an_index_lead_to_every_row(filled: Filled) -> None:
    """Short pages, whose cursors go on: no row is left out and none is told twice."""
    filters = Filters(call_type="onPhone", since=NOW - 21_000 / filled.count * DAYS * DAY)
    ids, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = await filled.reader.conversations(filters, cursor, LIMIT)
        ids += [each.id for each in page.items]
        cursor, pages = page.next, pages + 1
    wanted = range(7, filled.count, 5000)
    expected = [f"c{n}" for n in wanted if n >= filled.count - 21_000]
    assert ids == expected[::-1]
    assert pages == (1 if filled.count < STEP * STEPS else 2)


async def test_parts_of_a_conversation_are_found_by_its_key(filled: Filled) -> None:
    name = f"c{filled.count // 2}"
    for read in (filled.reader.transcript, filled.reader.events, filled.reader.tool_calls):
        await filled.check(TURNS + 1, read(name))
    assert [turn.number for turn in (await filled.reader.transcript(name)).items] == [*range(TURNS)]
    page = await filled.reader.transcript(name, limit=2)
    await filled.check(TURNS, filled.reader.transcript(name, page.next, 2))
    await filled.check(2, filled.reader.result(name))
    await filled.check(1, filled.reader.conversation(name))
    plans = await plans_of(filled.server, filled.reader.transcript(name))
    tables = {table for plan in plans for table in plan.tables}
    assert len(tables - {"conversations", "turns"}) == 1, "one partition, not all of them"


async def test_deliveries_are_found_by_time_and_receiver(filled: Filled) -> None:
    kept = Deliveries(filled.database, None, lambda: NOW)
    every = [DeliveryFilters(), DeliveryFilters(tenant="none"), DeliveryFilters("given_up")]
    for filters in (*every, DeliveryFilters("waiting"), DeliveryFilters(receiver="none")):
        for cursor in (None, encode(NOW - 15 * DAY, "event")):
            await filled.check(2 * STEP, kept.page(filters, cursor, LIMIT))
    outbox = DatabaseOutbox(filled.database, lambda: NOW, "replica-1", messages=messages_of("crm"))
    await filled.check(1000, outbox.claim(10))
    await filled.check(1000, DatabaseOutbox(filled.database, lambda: NOW, "replica-1").claim(10))


async def test_usage_reads_what_began_in_its_time_and_no_table_whole(filled: Filled) -> None:
    since, until = NOW - 5 * DAY, NOW - 5 * DAY + DAYS * DAY * 500 / filled.count
    usage = UsageReader(filled.database, lambda: NOW)
    for group in Group:
        rows = await usage.usage(since, until, group)
        assert sum(row.sessions for row in rows) == pytest.approx(500, abs=1)
        await filled.check(500 * (ROWS + 3), usage.usage(since, until, group, "tenant-7"))


async def test_ends_and_erasure_reach_their_rows_alone(filled: Filled) -> None:
    ends = [(f"c{n}", NOW, 1000, "ended") for n in range(100, 150)]

    async def end(connection: AsyncConnection) -> None:
        await write_ends(connection, ends, is_postgresql=True)

    await filled.check(100, filled.database.run(end, write=True))
    theirs = filled.count // SUBJECTS
    most = 2 * theirs * ROWS + 2
    await filled.check(most, filled.reader.erase("subject-11"))
    listed = await filled.reader.conversations(Filters(subject="subject-11"))
    assert listed.items == ()
    assert (await filled.reader.conversations(Filters(subject="subject-12"))).items != ()


async def test_retention_reads_what_is_old_alone(filled: Filled) -> None:
    old = filled.count // DAYS
    before = (await filled.reader.conversations(limit=1)).items
    retention = Retention(filled.database, DAYS - 1, lambda: NOW, rest=0)
    await filled.check(old * 1.2 + 3000, retention.once())
    assert (await filled.reader.conversations(limit=1)).items == before
