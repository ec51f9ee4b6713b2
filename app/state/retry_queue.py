"""Idempotent commands whose reply timed out, kept to be retried."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import structlog

from app.protocol.errors import StoreUnavailable
from app.telemetry.loss_log import LossLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.state.redis_client import Command, RedisClient

log = structlog.get_logger(__name__)

MAX_ENTRIES: Final = 10_000
ENTRIES_PER_TRIP: Final = 200
# Longer than any ticket and any lease: what is older has mended itself.
_EXPIRY: Final = 330.0


class RetryQueue:
    """Commands that may be repeated, kept until the store has carried them out.

    At most `MAX_ENTRIES`, each for `_EXPIRY` seconds of `clock`; beyond that tickets stay used up
    and caps are freed by their leases.
    """

    def __init__(self, store: RedisClient, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._pending: dict[str, tuple[float, Sequence[Command]]] = {}
        self._dropped = LossLog(log, "state_debt_dropped", "commands", level=logging.WARNING)

    def add(self, name: str, commands: Sequence[Command]) -> None:
        """Keep commands; a later entry of the same `name` replaces an earlier one."""
        if len(self._pending) >= MAX_ENTRIES:
            self._dropped.lost()
            return
        self._pending[name] = (self._clock() + _EXPIRY, commands)

    async def flush(self) -> None:
        """Send what is kept to the store, as far as it answers."""
        while self._pending:
            names = list(self._pending)[:ENTRIES_PER_TRIP]
            now = self._clock()
            entries = [self._pending[name] for name in names]
            commands = [each for until, some in entries if until > now for each in some]
            try:
                if commands:
                    await self._store.batch("debts", commands)
            except StoreUnavailable:
                return
            for name in names:
                del self._pending[name]
