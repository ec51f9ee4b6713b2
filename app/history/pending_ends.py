"""Ends of conversations that are not in the database yet, for what is written before the queue is.

The queue of records may be seconds behind. A replica that is killed then has lost the ends in it,
and its conversations would count until its last sign of life.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.conversation import RecordedConversation
    from app.protocol.close_codes import CloseReason

MAX_PENDING: Final = 10_000
PER_WRITE: Final = 500

End: TypeAlias = tuple[str, float, int, str]
"""Id, Unix seconds, close code and its name."""

_POSTGRESQL: Final = (
    "UPDATE conversations AS old "
    "SET ended_at = new.ended_at, close_code = new.close_code, close_name = new.close_name "
    "FROM unnest($1::text[], $2::float8[], $3::int[], $4::text[]) "
    "AS new (id, ended_at, close_code, close_name) "
    "WHERE old.id = new.id AND old.id IN (SELECT id FROM conversations "
    "WHERE id = ANY($1::text[]) AND ended_at IS NULL FOR NO KEY UPDATE SKIP LOCKED) "
    "RETURNING old.id"
)
_SQLITE: Final = (
    "UPDATE conversations SET ended_at = ?, close_code = ?, close_name = ? "
    "WHERE id = ? AND ended_at IS NULL"
)


class PendingEnds:
    """Ends that were noted; at most `MAX_PENDING`, of which the oldest are left to the queue."""

    def __init__(self) -> None:
        self._ends: dict[RecordedConversation, End] = {}

    def __bool__(self) -> bool:
        return bool(self._ends)

    def note(self, conversation: RecordedConversation, reason: CloseReason, at: float) -> None:
        """Note an end; `at` is in Unix seconds."""
        if len(self._ends) >= MAX_PENDING:
            del self._ends[next(iter(self._ends))]
        self._ends[conversation] = (conversation.start.id, at, reason.code, reason.name)

    def due(self, until: float = math.inf) -> list[End]:
        """Return up to `PER_WRITE` ends of conversations that have a row, whose end it lacks.

        Ends after `until` (Unix seconds) are left out: the queue is likely to write them soon, and
        with them all that was said before.
        """
        over = [each for each in self._ends if each.end_stored or each.erased]
        for conversation in over:
            del self._ends[conversation]
        due = [end for each, end in self._ends.items() if each.stored and end[1] <= until]
        return due[:PER_WRITE]

    def written(self, ids: Collection[str]) -> None:
        """Forget ends that are in the database now."""
        self._ends = {each: end for each, end in self._ends.items() if end[0] not in ids}


async def write_ends(
    connection: AsyncConnection, ends: list[End], *, is_postgresql: bool
) -> frozenset[str]:
    """Set the ends of conversations that have none; return the ids of those that have it now.

    With PostgreSQL a row that another transaction holds is left out: nothing here waits for it.
    """
    if is_postgresql:
        columns = tuple(map(list, zip(*ends, strict=True)))
        found = await connection.exec_driver_sql(_POSTGRESQL, columns)
        return frozenset(found.scalars())
    await connection.exec_driver_sql(_SQLITE, [(*end[1:], end[0]) for end in ends])
    return frozenset(end[0] for end in ends)
