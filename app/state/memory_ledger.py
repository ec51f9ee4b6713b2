"""The ledger of tenants in the memory of one process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from app.state.tenant_ledger import LedgerTable, TenantLedger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.protocol.tenant import TenantLimits
    from app.state.tenant_ledger import BudgetStatus, LedgerRefusal, SessionTime


class MemoryLedger(TenantLedger):
    """`clock` gives Unix seconds; nothing survives the process."""

    def __init__(self, lease: float, clock: Callable[[], float] = time.time) -> None:
        self._table = LedgerTable(lease)
        self._clock = clock

    async def enter(
        self, tenant: str, limits: TenantLimits, session_id: str
    ) -> LedgerRefusal | None:
        """Count a session in."""
        return self._table.enter(tenant, limits, session_id, self._clock())

    async def account(
        self, tenant: str, limits: TenantLimits, sessions: Sequence[SessionTime]
    ) -> BudgetStatus:
        """Renew sessions and add their time."""
        return self._table.account(tenant, limits, sessions, self._clock())

    async def leave(
        self,
        tenant: str,
        limits: TenantLimits,  # noqa: ARG002 - the table settles when it is asked next
        last: SessionTime,
    ) -> None:
        """Count a session out."""
        self._table.leave(tenant, last, self._clock())

    async def withdraw(self, tenant: str, session_id: str) -> None:
        """Count a session out that never began."""
        self._table.withdraw(tenant, session_id, self._clock())
