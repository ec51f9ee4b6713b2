"""Streams: entries by growing ids, read in order by any number of readers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from app.state.local_store.resp import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

Id = tuple[int, int]
LAST: Final[Id] = (2**64, 0)
TOO_SMALL: Final = (
    "ERR The ID specified in XADD is equal or smaller than the target stream top item"
)


class Stream:
    """The entries that are kept, and the last id there was."""

    def __init__(self) -> None:
        self.last: Id = (0, 0)
        self._ids: list[Id] = []
        self._fields: list[list[bytes]] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, wanted: bytes, fields: Sequence[bytes], now: int) -> bytes:
        """Append an entry under `wanted` (`*`: the next id); return its id. Raises `StoreError`."""
        if wanted == b"*":
            entry_id = (now, 0) if now > self.last[0] else (self.last[0], self.last[1] + 1)
        else:
            entry_id = id_of(wanted)
        if entry_id <= self.last:
            raise StoreError(TOO_SMALL)
        self.last = entry_id
        self._ids.append(entry_id)
        self._fields.append(list(fields))
        return text_of(entry_id)

    def trim_to(self, length: int) -> int:
        """Keep the newest `length` entries; how many are gone."""
        return self._drop(max(0, len(self._ids) - length))

    def trim_before(self, first: Id) -> int:
        """Keep the entries from this id on; how many are gone."""
        return self._drop(bisect_left(self._ids, first))

    def after(self, entry_id: Id, count: int | None) -> list[list[object]]:
        """The entries after an id, up to `count`."""
        start = bisect_right(self._ids, entry_id)
        return self._entries(range(start, len(self._ids)), count)

    def between(
        self, first: Id, last: Id, count: int | None, *, newest_first: bool = False
    ) -> list[list[object]]:
        """The entries between two ids, both included."""
        found = range(bisect_left(self._ids, first), bisect_right(self._ids, last))
        return self._entries(found[::-1] if newest_first else found, count)

    def _entries(self, found: range, count: int | None) -> list[list[object]]:
        return [[text_of(self._ids[at]), list(self._fields[at])] for at in found[:count]]

    def _drop(self, count: int) -> int:
        del self._ids[:count]
        del self._fields[:count]
        return count


def id_of(value: bytes, *, sequence: int = 0) -> Id:
    """An id from its text: `ms-seq`, `ms`, `-` or `+`. Raises `StoreError`."""
    if value in {b"-", b"+"}:
        return (0, 0) if value == b"-" else LAST
    first, _, second = value.partition(b"-")
    try:
        return int(first), int(second) if second else sequence
    except ValueError:
        raise StoreError("ERR Invalid stream ID specified as stream command argument") from None


def text_of(entry_id: Id) -> bytes:
    """An id as Redis writes it."""
    return b"%d-%d" % entry_id
