"""How long each replica was there: the end of conversations that it left without one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.history.errors import HistoryUnavailable, Unstorable
from app.history.schema import replicas

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database

BEAT: Final = 0.5
"""Seconds between two marks while conversations are recorded: an end may be as much too early."""


class Presence:
    """Marks in the database that this replica is there, while it has conversations to record.

    `clock` is in Unix seconds. Failures are the recorder's to log: it writes to the same database.
    """

    def __init__(
        self,
        database: Database,
        replica: str,
        clock: Callable[[], float],
        is_recording: Callable[[], bool],
    ) -> None:
        self._database = database
        self._replica = replica
        self._clock = clock
        self._is_recording = is_recording

    async def run(self) -> None:
        """Mark until cancelled; never raises."""
        while True:
            await asyncio.sleep(BEAT)
            if self._is_recording():
                await self.mark()

    async def mark(self) -> None:
        """Mark once; a database that is away is left alone until the next time."""
        statement = self._database.insert(replicas)
        values = {"name": self._replica, "seen_at": self._clock()}
        upsert = statement.values(values).on_conflict_do_update(
            index_elements=[replicas.c.name], set_={"seen_at": statement.excluded.seen_at}
        )

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(upsert)

        try:
            await self._database.run(work, write=True)
        except (HistoryUnavailable, Unstorable):
            return
