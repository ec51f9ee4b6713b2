"""Answered requests in the memory of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.errors import StoreUnavailable
from app.state.expiring import ExpiringDict
from app.state.idempotency import MAX_REQUESTS, Requests

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryRequests(Requests):
    """`clock` gives seconds that only grow; nothing survives the process."""

    def __init__(self, clock: Callable[[], float], *, most: int = MAX_REQUESTS) -> None:
        self._most = most
        self._kept: ExpiringDict[str, bytes] = ExpiringDict(clock)

    async def claim(self, key: str, payload: bytes, ttl: float) -> bytes | None:
        """Keep a request; raise `StoreUnavailable` beyond `MAX_REQUESTS`."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        if len(self._kept) >= self._most:
            self._kept.prune()
            if len(self._kept) >= self._most:
                raise StoreUnavailable("too many requests are remembered")
        self._kept.put(key, payload, ttl)
        return None

    async def finish(self, key: str, payload: bytes, ttl: float) -> None:
        """Replace what is kept."""
        self._kept.put(key, payload, ttl)
