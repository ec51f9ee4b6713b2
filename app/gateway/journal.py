"""Notes that a conversation begins before its browser is told, so that none is lost by a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from app.protocol.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from app.state.interface import Journal, SessionRow

log = structlog.get_logger(__name__)


class SessionJournal:
    """`settle` takes sessions from the journal that will not be in history."""

    def __init__(self, journal: Journal, settle: Callable[[Collection[str]], None]) -> None:
        self._journal = journal
        self._settle = settle

    async def begin(self, row: SessionRow) -> None:
        """Note that a conversation begins; without the store it begins all the same."""
        try:
            await self._journal.put(row)
        except StoreUnavailable:
            log.warning("session_not_noted", session=row.id, advice="a crash now would lose it")

    def discard(self, row: SessionRow) -> None:
        """Take note that a conversation has not begun after all."""
        self._settle((row.id,))
