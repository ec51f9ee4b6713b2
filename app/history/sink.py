"""The port to where batches of history go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from app.history.conversation import BatchPart


class Sink(Protocol):
    """Where batches go. Writing the same batch twice is writing it once."""

    async def open(self) -> None:
        """Make ready. Raises `HistoryUnavailable` when that may work later."""
        ...

    async def write(self, parts: Sequence[BatchPart]) -> Collection[str]:
        """Write all parts or none. Returns the ids of conversations that were erased meanwhile.

        Raises `HistoryUnavailable` when it may work later, `Unstorable` when it never will.
        """
        ...
