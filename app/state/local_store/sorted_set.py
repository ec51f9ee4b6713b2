"""Sorted sets: members by score, and by name where scores are equal."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from app.state.local_store.resp import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

Bound = tuple[float, bool]
"""A score, and whether it is left out."""


class SortedSet:
    """Members with their scores."""

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self._order: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self._order)

    def add(self, member: bytes, score: float) -> bool:
        """Give a member its score; whether it is new."""
        before = self.scores.get(member)
        if before == score:
            return False
        if before is not None:
            del self._order[bisect_left(self._order, (before, member))]
        self.scores[member] = score
        insort(self._order, (score, member))
        return before is None

    def remove(self, member: bytes) -> bool:
        """Take a member out; whether it was in."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self._order[bisect_left(self._order, (score, member))]
        return True

    def rank(self, member: bytes) -> int | None:
        """How many members are before it."""
        score = self.scores.get(member)
        return None if score is None else bisect_left(self._order, (score, member))

    def by_rank(self, start: int, stop: int) -> Sequence[tuple[float, bytes]]:
        """The members from one rank to another, both included; negative ones count from the end."""
        size = len(self._order)
        first = max(0, start + size if start < 0 else start)
        last = stop + size if stop < 0 else stop
        return self._order[first : last + 1]

    def by_score(self, least: Bound, most: Bound) -> slice:
        """Where the members between two scores are."""
        start = _position(self._order, least, after=least[1])
        return slice(start, max(start, _position(self._order, most, after=not most[1])))

    def at(self, where: slice) -> Sequence[tuple[float, bytes]]:
        """The members there."""
        return self._order[where]

    def remove_at(self, where: slice) -> int:
        """Take those members out; how many they are."""
        gone = self._order[where]
        del self._order[where]
        for _, member in gone:
            del self.scores[member]
        return len(gone)

    def by_name(self, least: bytes, most: bytes) -> Sequence[bytes]:
        """The members between two names, `[name`, `(name`, `-` or `+`; scores must be equal."""
        names = [member for _, member in self._order]
        return names[_named(names, least, upper=False) : _named(names, most, upper=True)]


def _position(order: Sequence[tuple[float, bytes]], bound: Bound, *, after: bool) -> int:
    score = bound[0]
    if after:
        return bisect_right(order, score, key=lambda entry: entry[0])
    return bisect_left(order, score, key=lambda entry: entry[0])


def _named(names: Sequence[bytes], bound: bytes, *, upper: bool) -> int:
    if bound in {b"-", b"+"}:
        return 0 if bound == b"-" else len(names)
    kind, name = bound[:1], bound[1:]
    if kind not in {b"[", b"("}:
        raise StoreError("ERR min or max not valid string range item")
    after = (kind == b"[") is upper
    return (bisect_right if after else bisect_left)(names, name)


def score_of(value: bytes) -> float:
    """A score from its text. Raises `StoreError`."""
    try:
        return float(value)
    except ValueError:
        raise StoreError("ERR value is not a valid float") from None


def bound_of(value: bytes) -> Bound:
    """A bound from its text: `(` before it leaves the score itself out."""
    return (score_of(value[1:]), True) if value[:1] == b"(" else (score_of(value), False)


def text_of(score: float) -> bytes:
    """A score as Redis writes it."""
    return b"%d" % score if score == int(score) else repr(score).encode()
