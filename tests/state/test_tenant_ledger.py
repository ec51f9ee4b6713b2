"""A tenant's bounds and budgets, asked of both stores at the same times."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from app.protocol.errors import StoreUnavailable
from app.protocol.tenant import TenantLimits
from app.state.memory_ledger import MemoryLedger
from app.state.redis import RedisState
from app.state.redis_ledger import RedisLedger
from app.state.tenant_ledger import LedgerReason, SessionTime
from tests.state.conftest import PATIENT, running, server_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.state.tenant_ledger import TenantLedger
    from tests.support.redis import RedisServer

ANY = TenantLimits()
NOON = datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp()  # a leap day, and a month's last
DAY = 86_400.0


@dataclass
class Calendar:
    """The time of both stores."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture(params=["memory", "redis", "local"])
async def ledger(
    request: pytest.FixtureRequest, prefix: str, calendar: Calendar
) -> AsyncIterator[TenantLedger]:
    if request.param == "memory":
        yield MemoryLedger(15.0, calendar)
        return
    state = RedisState(server_of(request).url, "a", prefix=prefix, timings=PATIENT)
    async with running(state):
        # By the same store, keys and retries, and by the test's calendar.
        yield RedisLedger(state._store, state.keys, state._retries, lease=15.0, clock=calendar)


async def reason(ledger: TenantLedger, limits: TenantLimits, session: str) -> str | None:
    refusal = await ledger.enter("acme", limits, session)
    return None if refusal is None else refusal.reason.value


async def test_sessions_are_bounded_under_a_race(ledger: TenantLedger) -> None:
    limits = TenantLimits(max_sessions=7)
    answers = await asyncio.gather(*(reason(ledger, limits, f"s{n}") for n in range(60)))
    assert answers.count(None) == 7
    assert set(answers) == {None, LedgerReason.SESSIONS.value}
    assert await ledger.enter("other", limits, "s0") is None


async def test_leaving_and_withdrawing_free_the_bound(ledger: TenantLedger) -> None:
    limits = TenantLimits(max_sessions=1, sessions_per_minute=3)
    assert await reason(ledger, limits, "a") is None
    assert await reason(ledger, limits, "a") is None, "entering again is entering once"
    await ledger.leave("acme", limits, SessionTime("a", 1))
    assert await reason(ledger, limits, "b") is None
    await ledger.withdraw("acme", "b")
    assert await reason(ledger, limits, "c") is None
    await ledger.withdraw("acme", "c")
    # Of the three admissions two were withdrawn: two are left.
    assert await reason(ledger, limits, "d") is None
    await ledger.leave("acme", limits, SessionTime("d", 1))
    assert await reason(ledger, limits, "e") is None
    await ledger.leave("acme", limits, SessionTime("e", 1))
    assert await reason(ledger, limits, "f") == LedgerReason.RATE.value


async def test_a_dead_replicas_sessions_free_the_bound_with_their_lease(
    ledger: TenantLedger, calendar: Calendar
) -> None:
    limits = TenantLimits(max_sessions=1)
    assert await reason(ledger, limits, "a") is None
    calendar.now += 14.9
    assert await reason(ledger, limits, "b") == LedgerReason.SESSIONS.value
    calendar.now += 0.2
    assert await reason(ledger, limits, "b") is None


async def test_a_report_that_comes_after_the_end_holds_no_bound(ledger: TenantLedger) -> None:
    limits = TenantLimits(max_sessions=1)
    assert await reason(ledger, limits, "a") is None
    await ledger.leave("acme", limits, SessionTime("a", 9))
    status = await ledger.account("acme", limits, [SessionTime("a", 8)])
    assert status.day == 9
    assert await reason(ledger, limits, "b") is None


async def test_rate_counts_the_last_minute(ledger: TenantLedger, calendar: Calendar) -> None:
    limits = TenantLimits(sessions_per_minute=2)
    assert await reason(ledger, limits, "a") is None
    calendar.now += 20
    assert await reason(ledger, limits, "b") is None
    calendar.now += 20
    refusal = await ledger.enter("acme", limits, "c")
    assert refusal is not None
    assert refusal.reason is LedgerReason.RATE
    assert refusal.retry_after == pytest.approx(20)
    calendar.now += 19.9
    assert await reason(ledger, limits, "c") == LedgerReason.RATE.value, "refusals do not count"
    calendar.now += 0.2
    assert await reason(ledger, limits, "c") is None
    assert await reason(ledger, limits, "d") == LedgerReason.RATE.value


async def test_reporting_twice_is_reporting_once(ledger: TenantLedger) -> None:
    for seconds in (10, 10, 25, 25, 20):
        status = await ledger.account("acme", ANY, [SessionTime("a", seconds)])
    assert (status.day, status.month) == (25, 25)
    for _ in range(3):
        await ledger.leave("acme", ANY, SessionTime("a", 30.5))
    status = await ledger.account("acme", ANY, [])
    assert (status.day, status.month) == (30.5, 30.5)


async def test_used_up_budget_refuses_until_its_period_ends(
    ledger: TenantLedger, calendar: Calendar
) -> None:
    limits = TenantLimits(minutes_per_day=10)
    assert await reason(ledger, limits, "a") is None
    await ledger.account("acme", limits, [SessionTime("a", 599.9)])
    assert await reason(ledger, limits, "b") is None
    status = await ledger.account("acme", limits, [SessionTime("a", 600)])
    assert status.over_for == 0
    refusal = await ledger.enter("acme", limits, "c")
    assert refusal is not None
    assert refusal.reason is LedgerReason.DAY
    assert refusal.retry_after == pytest.approx(DAY / 2)
    calendar.now += 7
    status = await ledger.account("acme", limits, [SessionTime("a", 607)])
    assert status.over_for == pytest.approx(7)
    calendar.now = NOON + DAY / 2
    assert await reason(ledger, limits, "d") is None
    assert (await ledger.account("acme", limits, [SessionTime("a", 607)])).over_for is None


async def test_time_counts_in_the_day_and_month_in_which_it_passes(
    ledger: TenantLedger, calendar: Calendar
) -> None:
    """The session lasts from 23:59:30 on 29 February until 00:01:00 on 1 March."""
    calendar.now = NOON + DAY / 2 - 30
    await ledger.account("acme", ANY, [SessionTime("a", 0)])
    calendar.now += 90
    status = await ledger.account("acme", ANY, [SessionTime("a", 90)])
    assert (status.day, status.month) == (60, 60)
    calendar.now += DAY  # the day is another one, the month is not
    status = await ledger.account("acme", ANY, [SessionTime("b", 5)])
    assert (status.day, status.month) == (5, 65)


@pytest.mark.parametrize(
    ("year", "month", "last"), [(2027, 2, 28), (2028, 2, 29), (2026, 12, 31), (2100, 2, 28)]
)
async def test_monthly_budget_ends_with_the_month(
    ledger: TenantLedger, calendar: Calendar, year: int, month: int, last: int
) -> None:
    limits = TenantLimits(minutes_per_month=1)
    calendar.now = datetime(year, month, last, 23, 59, tzinfo=UTC).timestamp()
    await ledger.account("acme", limits, [SessionTime("a", 60)])
    refusal = await ledger.enter("acme", limits, "b")
    assert refusal is not None
    assert refusal.reason is LedgerReason.MONTH
    assert refusal.retry_after == pytest.approx(60)
    calendar.now += 59.9
    assert await reason(ledger, limits, "b") == LedgerReason.MONTH.value
    calendar.now += 0.2
    assert await reason(ledger, limits, "b") is None


async def test_each_warning_is_reported_once(ledger: TenantLedger, calendar: Calendar) -> None:
    limits = TenantLimits(minutes_per_day=10, minutes_per_month=100)
    told: list[tuple[str, int]] = []
    for seconds in (470, 480, 490, 600, 700):
        some = [SessionTime("a", seconds)]
        answers = await asyncio.gather(*(ledger.account("acme", limits, some) for _ in range(3)))
        told += [each for status in answers for each in status.reached]
    assert told == [("day", 80), ("day", 100)]
    calendar.now += DAY
    status = await ledger.account("acme", limits, [SessionTime("b", 600)])
    assert status.reached == (("day", 80), ("day", 100)), "another day's budget"


async def test_an_arrival_and_an_end_take_no_warning_away(ledger: TenantLedger) -> None:
    limits = TenantLimits(minutes_per_day=1)
    await ledger.account("acme", limits, [SessionTime("a", 10)])
    await ledger.leave("acme", limits, SessionTime("a", 50))
    assert await reason(ledger, limits, "b") is None
    await ledger.leave("acme", limits, SessionTime("b", 10))
    assert await reason(ledger, limits, "c") == LedgerReason.DAY.value
    status = await ledger.account("acme", limits, [])
    assert status.reached == (("day", 80), ("day", 100))
    assert (await ledger.account("acme", limits, [])).reached == ()


async def test_a_raised_budget_opens_again(ledger: TenantLedger) -> None:
    small, large = TenantLimits(minutes_per_day=1), TenantLimits(minutes_per_day=2)
    await ledger.account("acme", small, [SessionTime("a", 60)])
    assert await reason(ledger, small, "b") == LedgerReason.DAY.value
    assert await reason(ledger, large, "b") is None
    assert (await ledger.account("acme", large, [])).over_for is None


async def test_a_hundred_replicas_reports_add_up(ledger: TenantLedger) -> None:
    sessions = [SessionTime(f"s{n}", n + 0.25) for n in range(250)]
    await asyncio.gather(*(ledger.account("acme", ANY, sessions) for _ in range(4)))
    status = await ledger.account("acme", ANY, [])
    assert status.month == sum(session.seconds for session in sessions)


async def test_lost_redis_refuses_and_is_told_later(mortal_redis: RedisServer, prefix: str) -> None:
    state = RedisState(mortal_redis.url, "a", prefix=prefix, timings=PATIENT)
    async with running(state):
        limits = TenantLimits(minutes_per_day=1)
        assert await state.ledger.enter("acme", limits, "a") is None
        mortal_redis.stop()
        with pytest.raises(StoreUnavailable):
            await state.ledger.enter("acme", limits, "b")
        with pytest.raises(StoreUnavailable):
            await state.ledger.leave("acme", limits, SessionTime("a", 60))
        mortal_redis.start()

        async def is_told() -> bool:
            try:
                return (await state.ledger.account("acme", limits, [])).day == 60
            except StoreUnavailable:
                return False

        from tests.support.waiting import until  # noqa: PLC0415

        await until(is_told, within=20)
        assert await reason(state.ledger, limits, "c") == LedgerReason.DAY.value
