"""Events that wait in the database: they survive a crash, and any replica delivers them."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import func, select, update

from app.backoff import Backoff
from app.history.errors import HistoryUnavailable, Unstorable
from app.history.migrate import migrate
from app.history.results.database_outbox import WAITING, MessageTable
from app.history.schema import deliveries as table
from app.history.text import clean
from app.telemetry.loss_log import LossLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.history.lifecycle.event import EventDelivery

log = structlog.get_logger(__name__)

MOST: Final = 10_000
MOST_BYTES: Final = 16 * 1024 * 1024
"""What may wait to be written, while the database is slow or away."""

BATCH: Final = 200
PAUSES: Final = Backoff(0.2, 5.0)


def messages_of(receiver: str) -> MessageTable:
    """What the outbox of one receiver claims: of each session the first that waits, alone."""
    earlier = table.alias("earlier")
    first = ~(
        select(earlier.c.id)
        .where(
            earlier.c.session_id == table.c.session_id,
            earlier.c.receiver == table.c.receiver,
            earlier.c.sequence < table.c.sequence,
            earlier.c.state == WAITING,
        )
        .exists()
    )
    return MessageTable(
        table,
        "event",
        mine=(table.c.receiver == receiver,),
        due=(first,),
        keeps_bodies=True,
        log={"receiver": receiver},
    )


class StoredEvents:
    """Implements `EventStore`: a bounded queue, written by `run` in its order.

    `on_stored` hears which receivers have something new, `on_dropped` how many deliveries found
    no place or could not be stored.
    """

    def __init__(
        self,
        database: Database,
        replica: str,
        *,
        on_stored: Callable[[str], None],
        on_dropped: Callable[[int], None],
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._database = database
        self._replica = replica
        self._on_stored = on_stored
        self._on_dropped = on_dropped
        self._most = most
        self._most_bytes = most_bytes
        self._queue: deque[EventDelivery] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._migrated = asyncio.Event()
        self._dropped = LossLog(log, "events_dropped", "events")

    def keep(self, deliveries: Sequence[EventDelivery]) -> None:
        """Queue deliveries; those for which there is no place are dropped and counted."""
        for number, delivery in enumerate(deliveries):
            size = self._bytes + len(delivery.body)
            if len(self._queue) >= self._most or size > self._most_bytes:
                self._drop(len(deliveries) - number, "the database is slow or away")
                break
            self._queue.append(delivery)
            self._bytes = size
        self._news.set()

    async def run(self) -> None:
        """Write what is queued until cancelled; never raises."""
        failures = 0
        while True:
            try:
                await self._write_all()
            except HistoryUnavailable as error:
                failures += 1
                if failures == 1:
                    log.warning("events_unwritten", error=str(error), queued=len(self._queue))
                await asyncio.sleep(PAUSES.after(failures))
                continue
            failures = 0
            await self._news.wait()
            self._news.clear()

    async def opened(self) -> None:
        """Wait until the schema is up to date."""
        await self._migrated.wait()

    async def waiting(self) -> Mapping[str, int]:
        """Count the deliveries of all replicas that wait, by receiver."""
        counted = (
            select(table.c.receiver, func.count())
            .where(table.c.state == WAITING)
            .group_by(table.c.receiver)
        )

        async def work(connection: AsyncConnection) -> dict[str, int]:
            return {row[0]: row[1] for row in await connection.execute(counted)}

        return await self._database.run(work)

    async def flush(self, seconds: float) -> None:
        """Write what is left, for about that long; what then remains is dropped and counted."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for attempt in range(1, 100):
                    try:
                        await self._write_all()
                        break
                    except HistoryUnavailable:
                        await asyncio.sleep(PAUSES.after(attempt))
        if self._queue:
            self._drop(len(self._queue), "the process ends")
            self._queue.clear()
            self._bytes = 0
        self._dropped.flush()

    async def release(self, seconds: float) -> None:
        """Give this replica's claims back; without that they end with their lease."""
        if not self._migrated.is_set():
            return
        mine = (table.c.state == WAITING, table.c.claimed_by == self._replica)
        free = update(table).where(*mine).values(next_at=table.c.created_at, claimed_by=None)

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(free)

        with suppress(HistoryUnavailable, Unstorable, TimeoutError):
            async with asyncio.timeout(seconds):
                await self._database.run(work, write=True)

    async def _write_all(self) -> None:
        if not self._migrated.is_set():
            await migrate(self._database)
            self._migrated.set()
        while self._queue:
            batch = list(islice(self._queue, BATCH))
            try:
                await self._insert(batch)
            except Unstorable as refused:
                batch = batch[:1]  # one by one, so that only what is refused is lost
                try:
                    await self._insert(batch)
                except Unstorable:
                    self._drop(1, str(refused))
            for delivery in batch:
                self._queue.popleft()
                self._bytes -= len(delivery.body)
            for name in dict.fromkeys(delivery.receiver for delivery in batch):
                self._on_stored(name)

    async def _insert(self, batch: Sequence[EventDelivery]) -> None:
        rows = [_row(delivery) for delivery in batch]
        # A try whose outcome is unknown may have written them.
        statement = self._database.insert(table).on_conflict_do_nothing()

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement, rows)

        await self._database.run(work, write=True)

    def _drop(self, count: int, cause: str) -> None:
        self._dropped.lost(count, cause=cause)
        self._on_dropped(count)


def _row(delivery: EventDelivery) -> dict[str, object]:
    return {
        "id": delivery.id,
        "receiver": delivery.receiver,
        "session_id": None if delivery.session_id is None else clean(delivery.session_id),
        "sequence": delivery.sequence,
        "type": delivery.type,
        "agent": clean(delivery.agent),
        "tenant": None if delivery.tenant is None else clean(delivery.tenant),
        "state": WAITING,
        "body": delivery.body,
        "sealed": delivery.sealed,
        "created_at": delivery.created_at,
        "deadline": delivery.deadline,
        "next_at": delivery.created_at,
        "attempts": 0,
        "claimed_by": None,
        "trouble": None,
        "settled_at": None,
    }
