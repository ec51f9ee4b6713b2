"""What is kept: values by key, each of one kind, some of which expire."""

from __future__ import annotations

import heapq
import secrets
from typing import TYPE_CHECKING, Any, Final, TypeVar

from app.state.local_store.resp import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

MAX_KEYS: Final = 1_000_000
SWEEP: Final = 1_000
"""Expired keys that are dropped at most before one command."""
WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Keyspace:
    """`clock` gives Unix time in milliseconds. An expired key is not there for any command."""

    def __init__(self, clock: Callable[[], int], *, most: int = MAX_KEYS) -> None:
        self.clock = clock
        self.identity = secrets.token_hex(20).encode()
        self._most = most
        self._values: dict[bytes, Any] = {}
        self._expiries: dict[bytes, int] = {}
        self._due: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes, kind: type[Value]) -> Value | None:
        """What is kept under a key. Raises `StoreError` where that is of another kind."""
        expiry = self._expiries.get(key)
        if expiry is not None and expiry <= self.clock():
            self.delete(key)
            return None
        value = self._values.get(key)
        if value is None or isinstance(value, kind):
            return value
        raise StoreError(WRONG_TYPE)

    def put(self, key: bytes, value: Any) -> None:
        """Keep a value, which does not expire. Raises `StoreError` beyond the most keys."""
        if key not in self._values and len(self._values) >= self._most:
            raise StoreError("OOM the store of the workers is full")
        self._values[key] = value
        self._expiries.pop(key, None)

    def delete(self, key: bytes) -> bool:
        """Forget a key; whether there was one."""
        self._expiries.pop(key, None)
        return self._values.pop(key, None) is not None

    def expire(self, key: bytes, at: int) -> bool:
        """Let a key expire at a time in milliseconds; whether there is one."""
        if self.get(key, object) is None:
            return False
        self._expiries[key] = at
        heapq.heappush(self._due, (at, key))
        if len(self._due) > 2 * len(self._expiries) + SWEEP:  # most are of renewed leases
            self._due = [(due, name) for name, due in self._expiries.items()]
            heapq.heapify(self._due)
        return True

    def expiry(self, key: bytes) -> int | None:
        """When a key expires, in milliseconds; None for never."""
        return self._expiries.get(key)

    def sweep(self) -> None:
        """Drop some of the keys that have expired."""
        now = self.clock()
        for _ in range(SWEEP):
            if not self._due or self._due[0][0] > now:
                return
            at, key = heapq.heappop(self._due)
            if self._expiries.get(key) == at:
                self.delete(key)
