"""Which live sessions a list shows. Judged where the rows are, so that few of many are sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

SCAN: Final = 200
"""Rows that are looked at in one step, about a millisecond; others have their turn in between."""

MAX_SCANNED: Final = 20_000
"""Rows that are looked at for one page at most; the page's cursor leads on."""

PAGE_TIME: Final = 0.025
"""Seconds after which a page of a store that others share begins no further step."""

SEARCHED: Final = ("id", "agent", "subject", "call_type", "phase", "operator")


@dataclass(frozen=True, slots=True)
class RowFilter:
    """What a row must be; None fits every one.

    `search` is a text that one of `SEARCHED` contains, without regard to the case of its letters
    (of A to Z alone, where the rows are in Redis).
    """

    agent: str | None = None
    subject: str | None = None
    call_type: str | None = None
    wants_human: bool | None = None
    search: str = ""

    def __bool__(self) -> bool:
        return self != RowFilter()

    def fits(self, row: object) -> bool:
        """Judge one `SessionRow`."""
        for name in ("agent", "subject", "call_type", "wants_human"):
            wanted = getattr(self, name)
            if wanted is not None and getattr(row, name) != wanted:
                return False
        if not self.search:
            return True
        wanted = self.search.lower()
        return any(wanted in (getattr(row, name) or "").lower() for name in SEARCHED)

    def needles(self) -> tuple[bytes, ...]:
        """What a fitting row's JSON holds, byte for byte, as `encode_row` writes it.

        Exact for the members: a quotation mark within a value is escaped, so no value holds one of
        these. A row of an older replica without the member `wants_human` fits neither value.
        """
        members = {
            name: getattr(self, name)
            for name in ("agent", "subject", "call_type", "wants_human")
            if getattr(self, name) is not None
        }
        return tuple(orjson.dumps({name: value})[1:-1] for name, value in members.items())

    def searched(self) -> bytes:
        """What a fitting row's JSON holds once A to Z are lower case; others may hold it, too."""
        ascii_lower = "".join(c.lower() if c.isascii() else c for c in self.search)
        return orjson.dumps(ascii_lower)[1:-1]
