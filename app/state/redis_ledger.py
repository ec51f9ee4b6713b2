"""The ledger of tenants in Redis: `LedgerTable`'s rules, as `app.state.ledger_scripts` has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.protocol.errors import StoreUnavailable
from app.state.ledger_scripts import ACCOUNT, ENTER, LEAVE
from app.state.redis_client import milliseconds
from app.state.tenant_ledger import (
    ACCOUNTED_TTL,
    MINUTE,
    WARNINGS,
    WINDOW,
    BudgetStatus,
    LedgerReason,
    LedgerRefusal,
    SessionTime,
    TenantLedger,
    until_next_day,
    until_next_month,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.protocol.tenant import TenantLimits
    from app.state.keys import Keys
    from app.state.redis_client import Command, RedisClient
    from app.state.retry_queue import RetryQueue

SESSIONS_PER_TRIP: Final = 100
UNBOUNDED: Final = -1


class RedisLedger(TenantLedger):
    """`lease` is in seconds. `clock` (Unix seconds) replaces Redis' own, for tests."""

    def __init__(
        self,
        store: RedisClient,
        keys: Keys,
        retries: RetryQueue,
        *,
        lease: float,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._retries = retries
        self._lease = milliseconds(lease)
        self._clock = clock

    async def enter(
        self, tenant: str, limits: TenantLimits, session_id: str
    ) -> LedgerRefusal | None:
        """Count a session in."""
        args = (
            *self._common(tenant, limits),
            *(session_id, self._lease),
            UNBOUNDED if limits.max_sessions is None else limits.max_sessions,
            UNBOUNDED if limits.sessions_per_minute is None else limits.sessions_per_minute,
            milliseconds(WINDOW),
        )
        try:
            reply = await self._store.script("ledger_enter", ENTER, self._names(tenant), args)
        except (StoreUnavailable, asyncio.CancelledError):
            self._owe_withdrawal(tenant, session_id)
            raise
        word, wait, now = reply[0].decode(), int(reply[1]) / 1000, int(reply[2]) / 1000
        if not word:
            return None
        reason = LedgerReason(word)
        if reason is LedgerReason.DAY:
            wait = until_next_day(now)
        elif reason is LedgerReason.MONTH:
            wait = until_next_month(now)
        return LedgerRefusal(reason, wait)

    async def account(
        self, tenant: str, limits: TenantLimits, sessions: Sequence[SessionTime]
    ) -> BudgetStatus:
        """Renew sessions and add their time, `SESSIONS_PER_TRIP` in a round trip."""
        status = BudgetStatus(0.0, 0.0)
        reached: tuple[tuple[str, int], ...] = ()
        for start in range(0, max(1, len(sessions)), SESSIONS_PER_TRIP):
            some = sessions[start : start + SESSIONS_PER_TRIP]
            status = await self._account(tenant, limits, some)
            reached += status.reached
        return BudgetStatus(status.day, status.month, status.over_for, reached)

    async def leave(self, tenant: str, limits: TenantLimits, last: SessionTime) -> None:
        """Count a session out; if this fails, Redis is told later."""
        args = (*self._common(tenant, limits), last.id, round(last.seconds * 1000))
        names = self._names(tenant)
        try:
            await self._store.script("ledger_leave", LEAVE, names, args)
        except (StoreUnavailable, asyncio.CancelledError):
            again: Command = ("EVAL", LEAVE.text, len(names), *names, *args)
            self._retries.add(f"ledger {last.id}", (again,))
            raise

    async def withdraw(self, tenant: str, session_id: str) -> None:
        """Count a session out that never began; if this fails, Redis is told later."""
        try:
            await self._store.batch("ledger_withdraw", self._withdrawing(tenant, session_id))
        except (StoreUnavailable, asyncio.CancelledError):
            self._owe_withdrawal(tenant, session_id)
            raise

    async def _account(
        self, tenant: str, limits: TenantLimits, sessions: Sequence[SessionTime]
    ) -> BudgetStatus:
        pairs = ((each.id, round(each.seconds * 1000)) for each in sessions)
        args = (
            *self._common(tenant, limits),
            self._lease,
            *(word for pair in pairs for word in pair),
        )
        reply = await self._store.script("ledger_account", ACCOUNT, self._names(tenant), args)
        now, (day, day_over, *day_marks), (month, month_over, *month_marks) = reply
        over = [at for at in (day_over, month_over) if at >= 0]
        reached = (
            *_passed("day", *day_marks),
            *_passed("month", *month_marks),
        )
        over_for = (now - min(over)) / 1000 if over else None
        return BudgetStatus(day / 1000, month / 1000, over_for, reached)

    def _owe_withdrawal(self, tenant: str, session_id: str) -> None:
        self._retries.add(f"ledger {session_id}", self._withdrawing(tenant, session_id))

    def _withdrawing(self, tenant: str, session_id: str) -> list[Command]:
        sessions, starts, _ = self._names(tenant)
        return [("ZREM", sessions, session_id), ("ZREM", starts, session_id)]

    def _names(self, tenant: str) -> tuple[str, str, str]:
        keys = self._keys
        return (
            keys.tenant(tenant, "sessions"),
            keys.tenant(tenant, "starts"),
            keys.tenant(tenant, "budget"),
        )

    def _common(self, tenant: str, limits: TenantLimits) -> tuple[str | int, ...]:
        return (
            "" if self._clock is None else round(self._clock() * 1000),
            _budget(limits.minutes_per_day),
            _budget(limits.minutes_per_month),
            self._keys.tenant(tenant, "accounted:"),
            milliseconds(ACCOUNTED_TTL),
        )


def _passed(period: str, before: int, reported: int) -> Iterator[tuple[str, int]]:
    return ((period, percent) for percent in WARNINGS if before < percent <= reported)


def _budget(minutes: float | None) -> int:
    return UNBOUNDED if minutes is None else round(minutes * MINUTE * 1000)
