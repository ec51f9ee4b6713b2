"""A conversation's transcript in memory, for its result webhook; bounded twice.

One conversation may hold so much, all of them together so much; the oldest turns go first.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.history.turn import Turn


@dataclass(slots=True)
class Budget:
    """What all transcripts together may hold, in characters, and what they do."""

    limit: int = 64 * 1024 * 1024
    used: int = 0


class Transcript:
    """The turns of one conversation, up to `limit` characters; `omitted` counts what went."""

    __slots__ = ("_budget", "_limit", "_sizes", "_turns", "_used", "omitted")

    def __init__(self, budget: Budget, limit: int = 256 * 1024) -> None:
        self.omitted = 0
        self._budget = budget
        self._limit = limit
        self._turns: deque[Turn] = deque()
        self._sizes: deque[int] = deque()
        self._used = 0

    def __iter__(self) -> Iterator[Turn]:
        return iter(self._turns)

    def hear(self, turn: Turn) -> None:
        """Take a turn that began or grew."""
        if self._turns and self._turns[-1] is turn:
            self._count(-self._sizes.pop())
        else:
            self._turns.append(turn)
        self._sizes.append(len(turn.text))
        self._count(len(turn.text))
        while len(self._turns) > 1 and (
            self._used > self._limit or self._budget.used > self._budget.limit
        ):
            self._turns.popleft()
            self._count(-self._sizes.popleft())
            self.omitted += 1

    def release(self) -> None:
        """Forget everything and give its room back. Idempotent."""
        self._turns.clear()
        self._sizes.clear()
        self._count(-self._used)

    def _count(self, size: int) -> None:
        self._used += size
        self._budget.used += size
