"""Outbox in the database: results survive restarts, and any replica delivers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import select, update

from app.backoff import Backoff
from app.history.results.delivery import OutboxMessage
from app.history.schema import outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import RowMapping, Update
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.history.results.encryption import PayloadCipher

log = structlog.get_logger(__name__)

WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
GIVEN_UP: Final = "given_up"


class DatabaseOutbox:
    """Implements `Outbox`.

    `clock` is in Unix seconds, `replica` this process's own name. A claim holds for `lease`
    seconds, longer than a try may take; a replica that dies with it loses it then. Messages past
    their deadline are given up, and their bodies deleted; `on_given_up` hears how many.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        replica: str,
        *,
        seal: PayloadCipher | None = None,
        backoff: Backoff | None = None,
        lease: float = 60.0,
        on_given_up: Callable[[int], None] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._replica = replica
        self._cipher = seal
        self._backoff = backoff or Backoff(5.0, 3600.0)
        self._lease = lease
        self._on_given_up = on_given_up

    async def claim(self, most: int) -> Sequence[OutboxMessage]:
        """Take due messages, each leased by one replica alone."""
        now = self._clock()
        due = (
            select(outbox.c.id)
            .where(outbox.c.state == WAITING, outbox.c.next_at <= now, outbox.c.deadline > now)
            .order_by(outbox.c.next_at)
            .limit(most)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        take = (
            update(outbox)
            .where(outbox.c.id.in_(select(due.c.id)))
            .values(
                next_at=now + self._lease,
                attempts=outbox.c.attempts + 1,
                claimed_by=self._replica,
            )
            .returning(*outbox.columns)
        )
        expire = (
            update(outbox)
            .where(outbox.c.state == WAITING, outbox.c.deadline <= now)
            .values(state=GIVEN_UP, body=None)
        )

        async def work(connection: AsyncConnection) -> tuple[int, Sequence[RowMapping]]:
            expired = (await connection.execute(expire)).rowcount
            return expired, (await connection.execute(take)).mappings().all()

        expired, rows = await self._database.run(work, write=True)
        if expired:
            log.error("results_given_up", results=expired)
            if self._on_given_up is not None:
                self._on_given_up(expired)
        return [queued for row in rows if (queued := self._letter(row)) is not None]

    async def delivered(self, queued: OutboxMessage) -> None:
        """Mark it delivered, by any replica; its body is deleted."""
        statement = update(outbox).where(outbox.c.id == queued.id)
        await self._execute(statement.values(state=DELIVERED, body=None))

    async def failed(self, queued: OutboxMessage) -> bool:
        """Keep it for later; the deadline is judged when that comes."""
        mine = (outbox.c.state == WAITING, outbox.c.claimed_by == self._replica)
        statement = update(outbox).where(outbox.c.id == queued.id, *mine)
        next_at = self._clock() + self._backoff.after(queued.attempts)
        await self._execute(statement.values(next_at=next_at, claimed_by=None))
        return True

    async def _execute(self, statement: Update) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.run(work, write=True)

    def _letter(self, row: RowMapping) -> OutboxMessage | None:
        body: bytes | None = row["body"]
        if body is not None and row["sealed"]:
            body = self._cipher.decrypt(body, row["id"]) if self._cipher is not None else None
        if body is None:
            # Another replica may hold the secret that this was sealed under: the lease runs out.
            log.error("result_cannot_be_opened", message=row["id"])
            return None
        return OutboxMessage(row["id"], body, row["deadline"], row["attempts"])
