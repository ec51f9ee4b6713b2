"""The port to what was answered to requests that carry an `Idempotency-Key`."""

from __future__ import annotations

from typing import Final, Protocol

MAX_REQUESTS: Final = 100_000
"""Requests that the memory of one process remembers."""


class Requests(Protocol):
    """Every coroutine raises `StoreUnavailable` when the store does not answer in time."""

    async def claim(self, key: str, payload: bytes, ttl: float) -> bytes | None:
        """Keep `payload` for `ttl` seconds unless the key is taken; return what it is taken by.

        Atomic: of requests that come at once, on whatever replicas, one gets None.
        """
        ...

    async def finish(self, key: str, payload: bytes, ttl: float) -> None:
        """Replace what is kept under the key."""
        ...
