"""Bounds and budgets of tenants over all replicas: who may begin, and who has to end."""

from __future__ import annotations

from itertools import groupby
from time import monotonic, time
from typing import TYPE_CHECKING, Final

import structlog

from app.protocol.close_codes import OVERLOADED, TOO_MANY
from app.protocol.errors import Refusal, StoreUnavailable
from app.protocol.tenant import TenantLimits
from app.relay.lifecycle import EventType, LifecycleEvent
from app.state.tenant_ledger import LedgerReason, SessionTime, until_next_day

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.protocol.tenant import Tenant
    from app.relay.lifecycle import LifecycleEvents
    from app.state.interface import SessionRow
    from app.state.tenant_ledger import BudgetStatus, LedgerRefusal, TenantLedger
    from app.telemetry.tenants import TenantMetrics

log = structlog.get_logger(__name__)

UNLIMITED: Final = TenantLimits()
BUDGET_USED_UP: Final = "The budget for conversations is used up."
MESSAGES: Final = {
    LedgerReason.SESSIONS: "Too many conversations at once.",
    LedgerReason.RATE: "Too many new conversations within a minute.",
    LedgerReason.DAY: BUDGET_USED_UP,
    LedgerReason.MONTH: BUDGET_USED_UP,
}
STORE_RETRY: Final = 5.0
MAX_RETRY_AFTER: Final = 86_400.0
"""Seconds: timers of browsers count to 2^31 ms, and a budget may be raised meanwhile."""


class TenantAdmission:
    """Admits sessions of tenants and accounts for their time; sessions of the operator pass.

    `tenants` are those known now. `lifecycle` hears of budgets that are reached.
    """

    def __init__(
        self,
        ledger: TenantLedger,
        tenants: Mapping[str, Tenant],
        metrics: TenantMetrics,
        lifecycle: LifecycleEvents | None = None,
    ) -> None:
        self._ledger = ledger
        self._tenants = tenants
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._over: dict[str, float] = {}  # tenant → since when its budget is used up (monotonic)

    async def enter(self, row: SessionRow) -> None:
        """Count a session in. Raises `Refusal`; without the store nothing new may begin."""
        if row.tenant is None:
            return
        try:
            refused = await self._ledger.enter(row.tenant, self._limits(row.tenant), row.id)
        except StoreUnavailable:
            raise Refusal(OVERLOADED, retry_after=STORE_RETRY) from None
        if refused is not None:
            raise self._refusal(row, refused)

    async def withdraw(self, row: SessionRow) -> None:
        """Count a session out that never began."""
        if row.tenant is not None:
            try:
                await self._ledger.withdraw(row.tenant, row.id)
            except StoreUnavailable:
                log.warning("session_not_withdrawn", session=row.id, advice="its lease runs out")

    async def leave(self, row: SessionRow) -> None:
        """Count a session out, with its time."""
        if row.tenant is None:
            return
        self._metrics.minutes_total.labels(row.tenant, row.call_type).inc(row.seconds / 60)
        last, limits = SessionTime(row.id, row.seconds), self._limits(row.tenant)
        try:
            await self._ledger.leave(row.tenant, limits, last)
            if limits.has_budget:  # the tenant's last session may be the one that reaches it
                self._note(row.tenant, await self._ledger.account(row.tenant, limits, ()))
        except StoreUnavailable:
            log.warning("session_time_not_accounted", session=row.id, advice="it is tried again")

    async def account(
        self, rows: Iterable[SessionRow], end: Callable[[str, str, float], None]
    ) -> None:
        """Report the time of live sessions, and end those whose budget is used up for too long.

        `end` is called with a session's id, a message and when to come again. Raises
        `StoreUnavailable`; sessions whose budget was used up before that end all the same.
        """
        owned = sorted(
            ((row.tenant, row) for row in rows if row.tenant is not None), key=lambda pair: pair[0]
        )
        for tenant, pairs in groupby(owned, key=lambda pair: pair[0]):
            sessions = [SessionTime(row.id, row.seconds) for _, row in pairs]
            try:
                status = await self._ledger.account(tenant, self._limits(tenant), sessions)
                self._note(tenant, status)
            finally:
                self._end_overdue(tenant, sessions, end)

    def _note(self, tenant: str, status: BudgetStatus) -> None:
        limits = self._limits(tenant)
        if status.over_for is None:
            self._over.pop(tenant, None)
        else:
            self._over[tenant] = monotonic() - status.over_for
        for period, used, budget in (
            ("day", status.day, limits.minutes_per_day),
            ("month", status.month, limits.minutes_per_month),
        ):
            if budget is not None:
                self._metrics.budget_used_ratio.labels(tenant, period).set(used / 60 / budget)
        for period, percent in status.reached:
            self._tell(tenant, period, percent, status)

    def _tell(self, tenant: str, period: str, percent: int, status: BudgetStatus) -> None:
        limits = self._limits(tenant)
        used = (status.day if period == "day" else status.month) / 60
        budget = limits.minutes_per_day if period == "day" else limits.minutes_per_month
        log.warning(
            "budget_reached",
            tenant=tenant,
            period=period,
            percent=percent,
            minutes=round(used, 2),
            budget=budget,
            advice="raise it in RELAY_TENANTS, or let it run out",
        )
        if self._lifecycle is not None:
            data = {
                "tenant": tenant,
                "period": period,
                "percent": percent,
                "minutes": round(used, 2),
                "budget": budget,
            }
            event = LifecycleEvent(EventType.BUDGET_REACHED, "", "", time(), data, tenant)
            self._lifecycle.emit(event)

    def _end_overdue(
        self, tenant: str, sessions: list[SessionTime], end: Callable[[str, str, float], None]
    ) -> None:
        since = self._over.get(tenant)
        if since is None or monotonic() - since < self._limits(tenant).budget_grace:
            return
        wait = until_next_day(time())
        for session in sessions:
            end(session.id, BUDGET_USED_UP, wait)

    def _refusal(self, row: SessionRow, refused: LedgerRefusal) -> Refusal:
        tenant = row.tenant or ""
        self._metrics.refusals_total.labels(tenant, refused.reason.value).inc()
        wait = max(1.0, min(refused.retry_after, MAX_RETRY_AFTER))
        log.info(
            "tenant_refused",
            tenant=tenant,
            agent=row.agent,
            reason=refused.reason.value,
            retry_after=round(refused.retry_after, 1),
        )
        return Refusal(TOO_MANY, MESSAGES[refused.reason], retry_after=wait)

    def _limits(self, tenant: str) -> TenantLimits:
        known = self._tenants.get(tenant)
        return UNLIMITED if known is None else known.limits
