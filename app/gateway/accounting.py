"""What is noted of a session beside the registry: a tenant's bounds and time, and its beginning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.gateway.journal import SessionJournal
    from app.gateway.tenants import TenantAdmission
    from app.state.interface import SessionRow


@dataclass(frozen=True, slots=True)
class SessionAccounting:
    """`tenants` admits their sessions; `journal` notes which conversations begin, for history."""

    tenants: TenantAdmission
    journal: SessionJournal | None = None

    async def begin(self, row: SessionRow) -> None:
        """Note that a conversation is about to begin."""
        if self.journal is not None:
            await self.journal.begin(row)

    async def finish(self, last: SessionRow, *, has_begun: bool) -> None:
        """Note that a session is over; `has_begun` is whether history knows of it."""
        if self.journal is not None and not has_begun:
            self.journal.discard(last)
        await self.tenants.leave(last)
