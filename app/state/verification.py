"""Finds what the store has lost of registrations.

After a failover, parts of a registration may be missing whose commands were acknowledged. The parts
are on different servers, so each is looked for by itself: a read per part, and no write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.state.keys import Keys
    from app.state.redis_client import RedisClient
    from app.state.registration import Registration

_PARTS: Final = 4


class Verification:
    """Which sessions of this replica are to be looked for in the store."""

    def __init__(self, store: RedisClient, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._suspects: set[str] = set()
        self._turn: list[str] = []

    def suspect(self, ids: Iterable[str]) -> None:
        """Look for these sessions at their next refresh."""
        self._suspects.update(ids)

    def suspect_some(self, ids: Iterable[str], count: int) -> None:
        """Look for the next `count` of these sessions: all of them in turn, call by call."""
        if not self._turn:
            self._turn = list(ids)
        self._suspects.update(self._turn[-count:])
        del self._turn[-count:]

    def forget(self, session_id: str) -> None:
        """A session is no more."""
        self._suspects.discard(session_id)

    def is_suspect(self, session_id: str) -> bool:
        """Whether a session is to be looked for."""
        return session_id in self._suspects

    async def incomplete(self, sought: Sequence[Registration]) -> list[str]:
        """The sessions of which a part is missing. Raises `StoreUnavailable`; they stay suspect."""
        if not sought:
            return []
        keys = self._keys
        commands = [
            command
            for held in sought
            for command in (
                ("EXISTS", keys.row(held.id)),
                ("HGET", keys.held(held.owner), held.id),
                *(("SISMEMBER", keys.cap_members(cap, held.owner), held.id) for cap in held.caps),
            )
        ]
        found = await self._store.run("refresh", commands)
        self._suspects.difference_update(held.id for held in sought)
        return [
            held.id
            for at, held in enumerate(sought)
            if not all(found[at * _PARTS : (at + 1) * _PARTS])
        ]
