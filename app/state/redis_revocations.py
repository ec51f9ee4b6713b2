"""Revoked credentials in Redis.

Replicas ask every two seconds whether any of the credentials that they hold was revoked. Each
revocation counts up one number, so that asking costs one command while nothing was revoked. All
marks are read again now and then: a revocation may have been cut short before it counted, or be
that of an older release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.state.redis_client import milliseconds

if TYPE_CHECKING:
    from collections.abc import Collection

    from app.state.keys import Keys
    from app.state.redis_client import RedisClient

KEYS_PER_TRIP: Final = 1_000
READ_AGAIN: Final = 15
"""Questions after which all marks are read again, whatever the number says."""


class RedisRevocations:
    """Marks expire by the clock of Redis, with the credentials themselves."""

    def __init__(self, store: RedisClient, keys: Keys) -> None:
        self._store = store
        self._keys = keys
        self._number: bytes | None = None
        self._asked = 0
        self._checked: set[str] = set()  # not revoked when the number was `_number`

    async def revoke(self, credential_id: str, ttl: float) -> None:
        """Mark a credential, then count. After `StoreUnavailable` it may be marked."""
        name = self._keys.revoked(credential_id)
        await self._store.run(
            "revoke",
            [("SET", name, b"1", "PX", milliseconds(ttl)), ("INCR", self._keys.revocations)],
            first_alone=True,
        )

    async def among(self, credential_ids: Collection[str]) -> frozenset[str]:
        """Say which of these credentials are revoked, `KEYS_PER_TRIP` in a round trip."""
        asked = set(credential_ids)
        if not asked:
            return frozenset()
        number = await self._store.call("revoked", "GET", self._keys.revocations)
        self._asked += 1
        if number is None or number != self._number or self._asked >= READ_AGAIN:
            self._number, self._asked, self._checked = number, 0, set()
        names = sorted(asked - self._checked)
        found: set[str] = set()
        for start in range(0, len(names), KEYS_PER_TRIP):
            some = names[start : start + KEYS_PER_TRIP]
            marks = await self._store.run(
                "revoked", [("EXISTS", self._keys.revoked(name)) for name in some]
            )
            found.update(name for name, mark in zip(some, marks, strict=True) if mark)
        # Only what is asked for is remembered: credentials of sessions that ended are not.
        self._checked = (self._checked & asked) | (asked - found)
        return frozenset(found)
