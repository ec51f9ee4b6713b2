"""Ids of which the latest are remembered, so that what comes twice is done once."""

from __future__ import annotations


class RecentIds:
    """The last `most` ids, of which the oldest are forgotten first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: dict[str, None] = {}

    def is_new(self, id_: str) -> bool:
        """Remember an id; say whether it was not among the latest."""
        if id_ in self._ids:
            return False
        self._ids[id_] = None
        if len(self._ids) > self._most:
            del self._ids[next(iter(self._ids))]
        return True
