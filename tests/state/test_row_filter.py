"""Filtered lists of live sessions, of every implementation; five thousand rows stay quick."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest

from app.protocol.tenant import TenantLimits
from app.state.interface import Caps
from app.state.redis import RedisState
from app.state.row_filter import PAGE_TIME, SCAN, RowFilter
from tests.state.conftest import PATIENT, row

if TYPE_CHECKING:
    from app.state.interface import State

ROOMY = Caps(per_subject=20_000, per_address=20_000)
TRICKY = 'x","agent":"support","y'


async def listed(state: State, only: RowFilter, limit: int = 100) -> list[str]:
    """The ids of every page, in order."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await state.sessions(cursor, limit, only)
        assert len(page.rows) <= limit
        found += [each.id for each in page.rows]
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (RowFilter(), ["s1", "s2", "s3", "s4"]),
        (RowFilter(agent="support"), ["s1", "s3"]),
        (RowFilter(agent="support", call_type="webCall"), ["s3"]),
        (RowFilter(subject=TRICKY), ["s2"]),
        (RowFilter(wants_human=True), ["s3"]),
        (RowFilter(wants_human=False), ["s1", "s2", "s4"]),
        (RowFilter(search="bär"), ["s1"]),
        (RowFilter(search="SUPP"), ["s1", "s2", "s3"]),
        (RowFilter(search="wants_human"), []),
        (RowFilter(search='"'), ["s2"]),
        (RowFilter(search="otto"), ["s4"]),
        (RowFilter(agent="sales", search="s4"), ["s4"]),
    ],
)
async def test_rows_are_chosen_by_members_and_by_text(
    state: State, only: RowFilter, expected: list[str]
) -> None:
    rows = [
        row("s1", agent="support", subject="Karl bär"),
        row("s2", agent="sales", subject=TRICKY),
        row("s3", agent="support", call_type="webCall", wants_human=True),
        row("s4", agent="sales", operator="Otto"),
    ]
    for each in rows:
        assert await state.enter(each, ROOMY) is None
    assert await listed(state, only, 1) == expected
    assert await listed(state, only) == expected
    assert (await state.sessions(None, 1, only)).total == 4


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_a_tenants_list_is_filtered_and_holds_and_counts_its_own_alone(
    state: State, limit: int
) -> None:
    for number in range(6):
        tenant = ("acme", "globex", None)[number % 3]
        each = row(f"s{number}", tenant=tenant, agent="support" if number < 3 else "sales")
        assert await state.enter(each, ROOMY) is None
        if tenant is not None:
            assert await state.ledger.enter(tenant, TenantLimits(), each.id) is None
    for tenant, only, expected in (
        ("acme", None, ["s0", "s3"]),
        ("acme", RowFilter(), ["s0", "s3"]),
        ("acme", RowFilter(agent="sales"), ["s3"]),
        ("globex", RowFilter(search="SUPP"), ["s1"]),
        ("globex", RowFilter(search="s0"), []),
        ("nobody", RowFilter(agent="sales"), []),
    ):
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await state.sessions(cursor, limit, only, tenant)
            assert len(page.rows) <= limit
            assert page.total == (0 if tenant == "nobody" else 2)
            found += [each.id for each in page.rows]
            cursor = page.next
            if cursor is None:
                break
        assert found == expected
    assert (await state.sessions()).total == 6


@pytest.mark.parametrize("state", ["memory", "redis"], indirect=True)
async def test_one_of_five_thousand_is_found_by_looking_at_few_at_a_time(state: State) -> None:
    count = 5_000
    rows = [row(f"s{number:05}", subject=f"user-{number}") for number in range(count)]
    await state.refresh(rows)
    began = time.perf_counter()
    assert await listed(state, RowFilter(search=f"user-{count - 1}")) == [f"s{count - 1:05}"]
    took = time.perf_counter() - began
    assert took < 4.0, f"{took:.2f} s"
    print(f"{type(state).__name__}: one of {count} in {took * 1000:.0f} ms, {SCAN} at a time")
    began = time.perf_counter()
    page = await state.sessions(None, 100)
    print(f"{type(state).__name__}: the first 100 in {(time.perf_counter() - began) * 1000:.1f} ms")
    assert (len(page.rows), page.total) == (100, count)


@pytest.mark.parametrize("store", ["redis_server", "redis_cluster", "local_store"])
async def test_a_page_whose_time_is_over_leads_on_and_no_row_is_left_out(
    request: pytest.FixtureRequest, store: str, prefix: str
) -> None:
    count, fitting = 3 * SCAN, (5, SCAN + 5, 3 * SCAN - 1)
    rows = [
        row(f"{number * 255 // count:02x}{number:04x}", agent="few" if number in fitting else "all")
        for number in range(count)
    ]
    steps = itertools.count(step=PAGE_TIME)
    hurried = RedisState(
        request.getfixturevalue(store).url,
        "a",
        prefix=prefix,
        timings=PATIENT,
        clock=lambda: next(steps),
    )
    try:
        await hurried.refresh(rows)
        found: list[str] = []
        cursor: str | None = None
        pages = 0
        while cursor is not None or not pages:
            page = await hurried.sessions(cursor, 100, RowFilter(agent="few"))
            assert page.total == count
            found += [each.id for each in page.rows]
            cursor, pages = page.next, pages + 1
        assert found == [rows[number].id for number in fitting]
        assert pages >= 3, "each page has looked at one step alone"
        assert len((await hurried.sessions(None, 100)).rows) == 100, "without a filter it is full"
    finally:
        await hurried.close()
