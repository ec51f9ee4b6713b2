"""How many conversations are live at once, and how many may be.

`GET /api/v1/misc/concurrency` answers `{active, concurrency}`, of the whole organisation (L); one
too many hears "Concurrent limit exceeded" (D).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

EXCEEDED: Final = "Concurrent limit exceeded"
UNLIMITED: Final = 10_000  # what is told where nothing is bounded (?)


class Concurrency:
    """Counts live conversations, the highest number of them as `peak_conversations`.

    `limit` None lets any number live. `elsewhere` are those of the organisation's other clients.
    """

    def __init__(self, limit: int | None, counters: Counter[str]) -> None:
        self.limit = limit
        self.elsewhere = 0
        self._active = 0
        self._counters = counters

    @property
    def is_full(self) -> bool:
        """Whether one more is too many."""
        return self.limit is not None and self._active + self.elsewhere >= self.limit

    @contextmanager
    def counted(self) -> Iterator[Callable[[], None]]:
        """Count a conversation for the time of a block, or until what it yields is called.

        A client that sees one end may begin the next at once: the first must count no longer.
        """
        left = False

        def leave() -> None:
            nonlocal left
            if not left:
                left = True
                self._active -= 1

        self._active += 1
        self._counters["peak_conversations"] = max(
            self._counters["peak_conversations"], self._active
        )
        try:
            yield leave
        finally:
            leave()

    def view(self) -> dict[str, Any]:
        """What the vendor's route answers."""
        limit = UNLIMITED if self.limit is None else self.limit
        return {"active": self._active + self.elsewhere, "concurrency": limit}
