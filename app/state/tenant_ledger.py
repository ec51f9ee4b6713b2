"""What all replicas together know of a tenant's sessions, admissions and budgets: the rules.

Pure: the time is an argument, in Unix seconds. `MemoryState` uses `LedgerTable` as it is; the
scripts of `app.state.ledger_scripts` do the same in Redis.

A session reports how long it has lasted, and only what is more than it has reported before is
added to the budgets: reporting twice is reporting once, and a replica that dies has lost no more
than what passed since its last report. Time counts in the UTC day and month in which it passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from app.protocol.tenant import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.protocol.tenant import TenantLimits

WINDOW: Final = 60.0
"""Seconds within which admissions are counted for `sessions_per_minute`."""

WARNINGS: Final = (80, 100)
"""Percent of a budget at which it is reported, once for all replicas."""

ACCOUNTED_TTL: Final = 86_400.0
"""Seconds for which a session's last report is remembered."""

MINUTE: Final = 60.0


class LedgerReason(StrEnum):
    """Why a session may not begin."""

    SESSIONS = "tenant_sessions"
    RATE = "tenant_rate"
    DAY = "budget_day"
    MONTH = "budget_month"


@dataclass(frozen=True, slots=True)
class LedgerRefusal:
    """Why a session may not begin, and after how many seconds it is worth another try."""

    reason: LedgerReason
    retry_after: float


@dataclass(frozen=True, slots=True)
class SessionTime:
    """How many seconds a session has lasted."""

    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A tenant's budgets: seconds used in this UTC day and month.

    `over_for` is how many seconds ago a budget was used up, None while none is. `reached` are the
    (period, percent) that this report has been the first to see.
    """

    day: float
    month: float
    over_for: float | None = None
    reached: tuple[tuple[str, int], ...] = ()


class TenantLedger(Protocol):
    """Every coroutine raises `StoreUnavailable` when the store does not answer in time."""

    async def enter(
        self, tenant: str, limits: TenantLimits, session_id: str
    ) -> LedgerRefusal | None:
        """Count a session in, atomically with the tenant's bounds; None, or why not.

        After `StoreUnavailable` it is counted out by itself.
        """
        ...

    async def account(
        self, tenant: str, limits: TenantLimits, sessions: Sequence[SessionTime]
    ) -> BudgetStatus:
        """Renew sessions and add their time to the budgets."""
        ...

    async def leave(self, tenant: str, limits: TenantLimits, last: SessionTime) -> None:
        """Count a session out, with its time. Idempotent.

        After `StoreUnavailable` it is repeated by itself.
        """
        ...

    async def withdraw(self, tenant: str, session_id: str) -> None:
        """Count a session out that never began; it does not count as an admission either."""
        ...


def until_next_day(now: float) -> float:
    """Seconds until the next UTC day."""
    return DAY - now % DAY


def until_next_month(now: float) -> float:
    """Seconds until the next UTC month."""
    today = datetime.fromtimestamp(now, UTC)
    first = today.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first + timedelta(days=32)).replace(day=1)
    return (following - today).total_seconds()


@dataclass(slots=True)
class _Period:
    """The use of one budget within its current period."""

    name: str = ""
    used: float = 0.0
    over_at: float | None = None
    reported: int = 0

    def roll(self, name: str) -> None:
        """Begin anew in another period."""
        if name != self.name:
            self.name, self.used, self.over_at, self.reported = name, 0.0, None, 0

    def settle(self, minutes: float | None, now: float) -> None:
        """See whether the budget is used up."""
        is_over = minutes is not None and self.used >= minutes * MINUTE
        self.over_at = (self.over_at or now) if is_over else None

    def report(self, minutes: float | None) -> tuple[int, ...]:
        """Return the percents that are reached and were not reported before."""
        limit = None if minutes is None else minutes * MINUTE
        passed = [
            percent
            for percent in WARNINGS
            if limit is not None and self.used >= limit * percent / 100
        ]
        new = tuple(percent for percent in passed if percent > self.reported)
        self.reported = max(passed, default=0)
        return new


class _Book:
    """One tenant's part of the table."""

    def __init__(self) -> None:
        self.sessions: dict[str, float] = {}
        self.starts: dict[str, float] = {}
        self.accounted: dict[str, tuple[float, float]] = {}
        self.left: set[str] = set()
        self.day = _Period("day")
        self.month = _Period("month")

    def expire(self, now: float) -> None:
        self.sessions = {name: end for name, end in self.sessions.items() if end >= now}
        self.starts = {name: at for name, at in self.starts.items() if at > now - WINDOW}
        self.accounted = {name: held for name, held in self.accounted.items() if held[1] >= now}
        self.left &= self.accounted.keys()
        moment = datetime.fromtimestamp(now, UTC)
        self.day.roll(f"{moment:%Y-%m-%d}")
        self.month.roll(f"{moment:%Y-%m}")

    def add(self, session: SessionTime, now: float) -> None:
        before = self.accounted.get(session.id, (0.0, 0.0))[0]
        delta = max(0.0, session.seconds - before)
        self.accounted[session.id] = (max(before, session.seconds), now + ACCOUNTED_TTL)
        self.day.used += min(delta, now % DAY)
        into_month = (datetime.fromtimestamp(now, UTC).day - 1) * DAY + now % DAY
        self.month.used += min(delta, into_month)


class LedgerTable:
    """The ledger of every tenant, with leases of `lease` seconds."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._books: dict[str, _Book] = {}

    def enter(
        self, tenant: str, limits: TenantLimits, session_id: str, now: float
    ) -> LedgerRefusal | None:
        """Count a session in, or say why not."""
        book = self._book(tenant, now)
        book.day.settle(limits.minutes_per_day, now)
        book.month.settle(limits.minutes_per_month, now)
        if book.month.over_at is not None:
            return LedgerRefusal(LedgerReason.MONTH, until_next_month(now))
        if book.day.over_at is not None:
            return LedgerRefusal(LedgerReason.DAY, until_next_day(now))
        others = len(book.sessions.keys() - {session_id})
        if limits.max_sessions is not None and others >= limits.max_sessions:
            return LedgerRefusal(LedgerReason.SESSIONS, 5.0)
        rate = limits.sessions_per_minute
        if rate is not None:
            starts = sorted(at for name, at in book.starts.items() if name != session_id)
            if len(starts) >= rate:
                wait = starts[len(starts) - rate] + WINDOW - now
                return LedgerRefusal(LedgerReason.RATE, wait)
            book.starts[session_id] = now
        book.sessions[session_id] = now + self._lease
        return None

    def account(
        self, tenant: str, limits: TenantLimits, sessions: Sequence[SessionTime], now: float
    ) -> BudgetStatus:
        """Renew sessions and add their time."""
        book = self._book(tenant, now)
        for session in sessions:
            if session.id not in book.left:
                book.sessions[session.id] = now + self._lease
                book.add(session, now)
        book.day.settle(limits.minutes_per_day, now)
        book.month.settle(limits.minutes_per_month, now)
        reached = (
            *(("day", percent) for percent in book.day.report(limits.minutes_per_day)),
            *(("month", percent) for percent in book.month.report(limits.minutes_per_month)),
        )
        over = [at for at in (book.day.over_at, book.month.over_at) if at is not None]
        over_for = now - min(over) if over else None
        return BudgetStatus(book.day.used, book.month.used, over_for, reached)

    def leave(self, tenant: str, last: SessionTime, now: float) -> None:
        """Count a session out, with its time."""
        book = self._book(tenant, now)
        book.sessions.pop(last.id, None)
        book.add(last, now)
        book.left.add(last.id)

    def withdraw(self, tenant: str, session_id: str, now: float) -> None:
        """Count a session out that never began."""
        book = self._book(tenant, now)
        book.sessions.pop(session_id, None)
        book.starts.pop(session_id, None)

    def _book(self, tenant: str, now: float) -> _Book:
        book = self._books.setdefault(tenant, _Book())
        book.expire(now)
        return book
