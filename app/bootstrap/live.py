"""Configuration that may be replaced while it is in use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class LiveMapping(Mapping[Key, Value]):
    """A mapping whose content is replaced as a whole, for everyone who holds it.

    Who needs two looks to agree takes `current` once.
    """

    def __init__(self, current: Mapping[Key, Value]) -> None:
        self.current = current

    def replace(self, current: Mapping[Key, Value]) -> None:
        """Hold this from now on."""
        self.current = current

    def __getitem__(self, key: Key) -> Value:
        return self.current[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self.current)

    def __len__(self) -> int:
        return len(self.current)
