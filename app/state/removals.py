"""Removes registrations, and removes them again when a failover may have brought them back.

Redis replicates asynchronously: a removal that was acknowledged last may be unknown to the server
that becomes the primary. Removals are remembered for `REMEMBERED` seconds, longer than it takes to
notice a failover.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from app.state.registration import Registrations

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from app.state.keys import Keys
    from app.state.redis_client import RedisClient
    from app.state.registration import Registration

REMEMBERED: Final = 60.0
MAX_REMEMBERED: Final = 10_000
REPEATED_PER_TRIP: Final = 40


class Removals:
    """The registrations that this replica removes, of whatever owner."""

    def __init__(self, store: RedisClient, keys: Keys, clock: Callable[[], float]) -> None:
        self._store = store
        self._make = Registrations(keys)
        self._clock = clock
        self._latest: OrderedDict[str, tuple[float, Registration, bool]] = OrderedDict()
        self._due: dict[str, tuple[Registration, bool]] = {}

    async def remove(
        self,
        gone: Sequence[Registration],
        operation: str,
        *,
        mark: bool = False,
        final: bool = True,
    ) -> None:
        """Remove rows and places, then the notes. With `mark`, commands under way come too late.

        `final` False: their owner may be alive after all, and register them again.
        Raises `StoreUnavailable`.
        """
        if not gone:
            return
        self._remember(gone, final=final)
        calls = [call for held in gone for call in self._make.removal(held, mark=mark)]
        await self._store.run(operation, calls)
        await self._store.run(operation, self._make.forget(gone))

    def registered(self, session_id: str) -> None:
        """A session is registered, maybe again: its earlier removal must not be repeated."""
        self._latest.pop(session_id, None)
        self._due.pop(session_id, None)

    def suspect(self) -> int:
        """Repeat the removals of the last `REMEMBERED` seconds; return how many."""
        self._remember(())
        self._due = {held.id: (held, final) for _, held, final in self._latest.values()}
        return len(self._due)

    async def repeat(self, live: Container[str]) -> None:
        """Repeat what is due, but nothing of what is `live`. An id must not be used twice.

        Raises `StoreUnavailable`: what was not repeated stays due.
        """
        while self._due:
            some = list(self._due.values())[:REPEATED_PER_TRIP]
            for final in (True, False):
                # The failover may have lost the marks as well, on which late commands fail.
                gone = [held for held, ends in some if ends == final and held.id not in live]
                await self.remove(gone, "audit", mark=final, final=final)
            for held, _ in some:
                self._due.pop(held.id, None)

    def _remember(self, removed: Sequence[Registration], *, final: bool = True) -> None:
        now, latest = self._clock(), self._latest
        for held in removed:
            latest[held.id] = (now, held, final)
            latest.move_to_end(held.id)
        while latest:
            at, _, _ = next(iter(latest.values()))
            if len(latest) <= MAX_REMEMBERED and now - at <= REMEMBERED:
                return
            latest.popitem(last=False)
