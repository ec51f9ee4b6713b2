"""Outbox in the database: messages survive restarts, and any replica delivers them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Table, select, update

from app.backoff import Backoff
from app.history.results.delivery import OutboxMessage
from app.history.schema import outbox
from app.telemetry.loss_log import LossLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, RowMapping, Update
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.history.results.encryption import PayloadCipher

log = structlog.get_logger(__name__)

WAITING: Final = "waiting"
DELIVERED: Final = "delivered"
GIVEN_UP: Final = "given_up"


@dataclass(frozen=True, slots=True)
class MessageTable:
    """Messages of one kind, which log events are named by.

    `mine` are conditions on whose messages they are, `due` more on what may be claimed.
    A body is deleted when it is not needed any more, unless the message can be sent again at will
    (`keeps_bodies`): then the table also notes the last `trouble`, and when a message was settled.
    """

    table: Table
    kind: str
    mine: tuple[ColumnElement[bool], ...] = ()
    due: tuple[ColumnElement[bool], ...] = ()
    keeps_bodies: bool = False
    log: dict[str, str] = field(default_factory=dict)


RESULTS: Final = MessageTable(outbox, "result")


class DatabaseOutbox:
    """Implements `Outbox`.

    `clock` is in Unix seconds, `replica` this process's own name. A claim holds for `lease`
    seconds, longer than a try may take; a replica that dies with it loses it then. Messages past
    their deadline are given up; `on_given_up` hears how many.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        replica: str,
        *,
        messages: MessageTable = RESULTS,
        seal: PayloadCipher | None = None,
        backoff: Backoff | None = None,
        lease: float = 60.0,
        on_given_up: Callable[[int], None] | None = None,
    ) -> None:
        self._database = database
        self._messages = messages
        self._table = messages.table
        logger, kind = log.bind(**messages.log), messages.kind
        self._given_up = LossLog(logger, f"{kind}s_given_up", f"{kind}s")
        self._unopened = LossLog(logger, f"{kind}_cannot_be_opened", f"{kind}s")
        self._clock = clock
        self._replica = replica
        self._cipher = seal
        self._backoff = backoff or Backoff(5.0, 3600.0)
        self._lease = lease
        self._on_given_up = on_given_up

    async def claim(self, most: int) -> Sequence[OutboxMessage]:
        """Take due messages, each leased by one replica alone."""
        now, table = self._clock(), self._table
        waiting = (table.c.state == WAITING, *self._messages.mine)
        due = (
            select(table.c.id)
            .where(*waiting, table.c.next_at <= now, table.c.deadline > now, *self._messages.due)
            .order_by(table.c.next_at)
            .limit(most)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        take = (
            update(table)
            .where(table.c.id.in_(select(due.c.id)))
            .values(
                next_at=now + self._lease,
                attempts=table.c.attempts + 1,
                claimed_by=self._replica,
            )
            .returning(*table.columns)
        )
        expire = update(table).where(*waiting, table.c.deadline <= now)
        expire = expire.values(**self._settled(GIVEN_UP))

        async def work(connection: AsyncConnection) -> tuple[int, Sequence[RowMapping]]:
            expired = (await connection.execute(expire)).rowcount
            return expired, (await connection.execute(take)).mappings().all()

        expired, rows = await self._database.run(work, write=True)
        if expired:
            self._given_up.lost(expired)
            if self._on_given_up is not None:
                self._on_given_up(expired)
        return [queued for row in rows if (queued := self._letter(row)) is not None]

    async def delivered(self, queued: OutboxMessage) -> None:
        """Mark it delivered, by any replica."""
        statement = update(self._table).where(self._table.c.id == queued.id)
        await self._execute(statement.values(**self._settled(DELIVERED)))

    async def failed(
        self, queued: OutboxMessage, trouble: str = "", *, final: bool = False
    ) -> bool:
        """Keep it for later; the deadline is judged when that comes."""
        table = self._table
        mine = (table.c.state == WAITING, table.c.claimed_by == self._replica)
        statement = update(table).where(table.c.id == queued.id, *mine)
        if final:
            await self._execute(statement.values(**self._settled(GIVEN_UP, trouble)))
            self._given_up.lost(message=queued.id, trouble=trouble)
            return False
        next_at = self._clock() + self._backoff.after(queued.attempts)
        more = {"trouble": trouble} if self._messages.keeps_bodies else {}
        await self._execute(statement.values(next_at=next_at, claimed_by=None, **more))
        return True

    def _settled(self, state: str, trouble: str | None = None) -> dict[str, object]:
        """What a message becomes when it is not tried any more."""
        if not self._messages.keeps_bodies:
            return {"state": state, "body": None}
        settled: dict[str, object] = {"state": state, "settled_at": self._clock()}
        if state == DELIVERED:
            return settled | {"trouble": None}
        return settled if trouble is None else settled | {"trouble": trouble}

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
            self._unopened.lost(message=row["id"])
            return None
        return OutboxMessage(row["id"], body, row["deadline"], row["attempts"])
