"""A dictionary whose entries expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Key = TypeVar("Key")
Value = TypeVar("Value")


class ExpiringDict(Generic[Key, Value]):
    """A dictionary whose entries expire; what expired is dropped as the dictionary grows."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[Key, tuple[float, Value]] = {}
        self._prune_at = 64

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry[0] > self._clock()

    def __iter__(self) -> Iterator[Key]:
        now = self._clock()
        return (key for key, (expiry, _) in self._entries.items() if expiry > now)

    def put(self, key: Key, value: Value, ttl: float) -> None:
        """Keep a value for `ttl` seconds."""
        self._entries[key] = (self._clock() + ttl, value)
        if len(self._entries) > self._prune_at:
            self.prune()

    def get(self, key: Key) -> Value | None:
        """Return a value that has not expired."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and entry[0] > self._clock() else None

    def left(self, key: Key) -> float:
        """Return the seconds until an entry expires."""
        entry = self._entries.get(key)
        return 0.0 if entry is None else entry[0] - self._clock()

    def pop(self, key: Key) -> Value | None:
        """Remove an entry, and return its value if it had not expired."""
        value = self.get(key)
        self._entries.pop(key, None)
        return value

    def prune(self) -> None:
        """Drop what has expired."""
        now = self._clock()
        self._entries = {key: entry for key, entry in self._entries.items() if entry[0] > now}
        self._prune_at = max(64, 2 * len(self._entries))
