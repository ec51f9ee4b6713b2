"""How long each replica was there: the end of conversations that it left without one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.history.errors import HistoryUnavailable, Unstorable
from app.history.pending_ends import PendingEnds, write_ends

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.history.pending_ends import End

BEAT: Final = 0.25
"""Seconds between two marks while conversations are recorded: an end may be as much too early."""

QUEUE_TIME: Final = 0.5
"""Seconds that the queue has to write an end, and the records before it, by itself: who sees that a
conversation has ended will ask for its transcript."""

MARK_DEADLINE: Final = 2.0
"""Seconds that one mark may take; then it is given up, and made anew."""

_COLUMNS: Final = "INSERT INTO replicas (name, seen_at) VALUES"
_KNOWN: Final = "ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at"
_POSTGRESQL: Final = f"{_COLUMNS} ($1::text, $2::float8) {_KNOWN}"
_SQLITE: Final = f"{_COLUMNS} (?, ?) {_KNOWN}"


class Presence:
    """Marks in the database that this replica is there, while it has conversations to record.

    With a mark go the ends that the queue has not written yet: the end of any conversation of a
    replica that is killed is off by `QUEUE_TIME`, `BEAT` and the time that a mark takes, at the
    most, however far behind the queue was. `clock` is in Unix seconds. Failures are the recorder's
    to log: it writes to the same database.
    """

    def __init__(
        self,
        database: Database,
        replica: str,
        clock: Callable[[], float],
        is_recording: Callable[[], bool],
        ends: PendingEnds | None = None,
    ) -> None:
        self._database = database
        self._replica = replica
        self._clock = clock
        self._is_recording = is_recording
        self._ends = PendingEnds() if ends is None else ends

    async def run(self) -> None:
        """Mark until cancelled; never raises. A mark that took long does not put off the next."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + BEAT, loop.time())
            await asyncio.sleep(due - loop.time())
            if self._is_recording() or self._ends:
                await self.mark()

    async def mark(self) -> None:
        """Mark once; a database that is away is left alone until the next time."""
        try:
            # Both at one time, and here: what has ended by then is in `ends`, or has its end.
            now = self._clock()
            ends = self._ends.due(now - QUEUE_TIME)
            written = await self._database.run(lambda c: self._write(c, ends, now), write=True)
        except (HistoryUnavailable, Unstorable):
            return
        if written:
            self._ends.written(written)

    async def close(self) -> None:
        """Let go of the connection, after `run` has ended."""
        await self._database.close()

    async def _write(
        self, connection: AsyncConnection, ends: list[End], now: float
    ) -> frozenset[str]:
        is_postgresql = self._database.is_postgresql
        written: frozenset[str] = frozenset()
        if ends:
            written = await write_ends(connection, ends, is_postgresql=is_postgresql)
        sql = _POSTGRESQL if is_postgresql else _SQLITE
        await connection.exec_driver_sql(sql, (self._replica, now))
        return written
