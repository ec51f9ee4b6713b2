"""Pages of lists: whatever is asked for, all of them together are every row, once, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text as sql

from app.history.lifecycle.deliveries import Deliveries, DeliveryFilters
from app.history.listing import STEP, STEPS
from app.history.migrate import migrate
from app.history.model import Filters
from app.history.reader import HistoryReader
from tests.history.feed import NOW
from tests.history.partitions import nobody

if TYPE_CHECKING:
    from app.history.database import Database
    from app.history.model import Page

ROWS = STEP * STEPS + 3 * STEP
MOST_PAGES = 12
RARE = 4321
"""One row in so many is waiting, or a call of a rare kind."""

NUMBERS = f"WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS - 1})"  # noqa: S608
CONVERSATIONS = (
    "INSERT INTO conversations (id, agent, call_type, subject, started_at, lost, tenant) "  # noqa: S608
    f"{NUMBERS} SELECT 'c' || n, 'a', CASE WHEN n % {RARE} = 0 THEN 'onPhone' ELSE 'chat' END, "
    f"'ann', {NOW} + n / 3, 0, 'acme' FROM n"
)
STATE = f"CASE WHEN n % {RARE} = 0 THEN 'waiting' ELSE 'delivered' END"
RESULTS = (
    "INSERT INTO outbox (id, conversation_id, state, sealed, created_at, deadline, next_at, "  # noqa: S608
    f"attempts) {NUMBERS} SELECT 'r' || n, 'c' || n, {STATE}, n < 0, {NOW} + n / 5, 0, 0, 1 FROM n "
    "WHERE n % 9 = 0"
)
EVENTS = (
    "INSERT INTO deliveries (id, receiver, sequence, type, agent, tenant, state, body, sealed, "  # noqa: S608
    f"created_at, deadline, next_at, attempts) {NUMBERS} SELECT 'e' || n, 'crm', n, "
    f"'session.ended', 'a', 'acme', {STATE}, '', n < 0, {NOW} + n / 7, 0, 0, 1 FROM n"
)


@pytest.fixture
async def filled(database: Database) -> Database:
    await migrate(database)
    for statement in (CONVERSATIONS, RESULTS, EVENTS):
        await database.run(
            lambda c, it=statement: c.execute(sql(it)),  # type: ignore[misc]
            write=True,
            deadline=60,
        )
    return database


async def test_pages_of_a_rare_filter_are_every_row_once(filled: Database) -> None:
    reader = HistoryReader(filled, nobody)
    ids, cursor, short = [], None, 0
    while True:
        page = await reader.conversations(Filters(call_type="onPhone", tenant="acme"), cursor, 10)
        ids += [each.id for each in page.items]
        if page.next is None:
            break
        short += len(page.items) < 10
        cursor = page.next
    assert ids == [f"c{n}" for n in range(0, ROWS, RARE)][::-1]
    assert short == 1, "a page ends after so many rows, however little they had"


async def test_pages_of_deliveries_of_both_kinds_are_every_row_once(filled: Database) -> None:
    deliveries = Deliveries(filled, None, lambda: NOW)
    rare = range(0, ROWS, RARE)
    waiting = [(n // 7, f"e{n}") for n in rare] + [(n // 5, f"r{n}") for n in rare if n % 9 == 0]
    every = [(n // 7, f"e{n}") for n in range(ROWS)]
    every += [(n // 5, f"r{n}") for n in range(0, ROWS, 9)]
    for filters, wanted, limit in (
        (DeliveryFilters("waiting"), waiting, 2),
        (DeliveryFilters("waiting", tenant="acme"), [w for w in waiting if w[1][0] == "e"], 2),
        (DeliveryFilters("waiting", "result"), [w for w in waiting if w[1][0] == "r"], 2),
        (DeliveryFilters("given_up"), [], 500),
        (DeliveryFilters(), every, 30),
    ):
        ids, cursor, pages = [], None, 0
        while pages == 0 or (cursor is not None and pages < MOST_PAGES):
            page: Page = await deliveries.page(filters, cursor, limit)  # type: ignore[type-arg]
            assert len(page.items) <= limit
            ids += [each.id for each in page.items]
            cursor, pages = page.next, pages + 1
        names = [name for _, name in sorted(wanted, reverse=True)]
        assert ids == (names if cursor is None else names[: MOST_PAGES * limit])
