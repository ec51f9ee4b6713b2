"""What the store must still be told: calls whose answer was lost leave open what they did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from app.errors import StateLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.state.store import Command, Store

log = structlog.get_logger(__name__)

MAX_DEBTS: Final = 10_000
DEBTS_PER_TRIP: Final = 200
# Longer than any ticket and any lease: what is older has mended itself.
_EXPIRY: Final = 330.0


class Debts:
    """Commands that may be repeated, kept until the store has carried them out.

    At most `MAX_DEBTS`, each for `_EXPIRY` seconds of `clock`; beyond that tickets stay used up
    and caps are freed by their leases.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._owed: dict[str, tuple[float, Sequence[Command]]] = {}

    def owe(self, name: str, commands: Sequence[Command]) -> None:
        """Remember commands; `name` tells one debt from another."""
        if len(self._owed) >= MAX_DEBTS:
            log.warning("state_debt_dropped")
            return
        self._owed[name] = (self._clock() + _EXPIRY, commands)

    async def pay(self) -> None:
        """Tell the store, as far as it answers."""
        while self._owed:
            names = list(self._owed)[:DEBTS_PER_TRIP]
            now = self._clock()
            debts = [self._owed[name] for name in names]
            commands = [each for until, some in debts if until > now for each in some]
            try:
                if commands:
                    await self._store.batch("debts", commands)
            except StateLost:
                return
            for name in names:
                del self._owed[name]
