"""What became of events and results: a page at a time, and sending one again.

Every coroutine raises `HistoryUnavailable` when the database does not answer in time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Double, Text, cast, literal, null, select, union_all, update

from app.history.cursor import decode, encode
from app.history.errors import CannotRedeliver
from app.history.lifecycle.webhooks import LIFETIME
from app.history.listing import Wanted, list_merged
from app.history.model import Page
from app.history.results.database_outbox import WAITING
from app.history.schema import deliveries as table
from app.history.schema import outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.history.lifecycle.webhooks import EventWebhooks
    from app.history.listing import Key

MOST: Final = 500
"""Rows on a page, at the most."""

RESULT_RECEIVER: Final = "result"
RESULT_TYPE: Final = "conversation.result"


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """One delivery, without its body. Times are Unix seconds.

    `status` is `waiting`, `delivered` or `given_up`; `trouble` a word for what the last try met,
    `next_at` when the next one is due. A result's delivery has neither `trouble` nor `settled_at`.
    """

    id: str
    receiver: str
    type: str
    session_id: str | None
    agent: str | None
    tenant: str | None
    status: str
    created_at: float
    attempts: int
    next_at: float | None
    trouble: str | None
    settled_at: float | None


@dataclass(frozen=True, slots=True)
class DeliveryFilters:
    """Which deliveries; None is any. A `tenant` sees none but its own events."""

    status: str | None = None
    receiver: str | None = None
    tenant: str | None = None


BODY_GONE: Final = "A result is kept until it is delivered or given up, and no longer."
NO_RECEIVER: Final = "Its receiver is not in RELAY_EVENT_WEBHOOKS."


class Deliveries:
    """What the web layer asks. `webhooks` are None where no receiver of events is configured."""

    def __init__(
        self, database: Database, webhooks: EventWebhooks | None, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._webhooks = webhooks
        self._clock = clock

    async def page(
        self, filters: DeliveryFilters, cursor: str | None = None, limit: int = 100
    ) -> Page[StoredDelivery]:
        """List deliveries, the latest first. Raises `InvalidCursor`.

        A page may be short before the end: see `listing`.
        """
        limit = max(1, min(limit, MOST))
        after = None
        if cursor is not None:
            at, name = decode(cursor, float, str)
            after = (float(at), str(name))
        sources = [each for each in (_events(filters), _results(filters)) if each is not None]

        async def work(connection: AsyncConnection) -> tuple[list[RowMapping], Key | None]:
            return await list_merged(connection, sources, after, limit)

        rows, last = await self._database.run(work)
        items = tuple(_delivery(row) for row in rows)
        return Page(items, encode(*last) if last is not None else None)

    async def redeliver(self, delivery_id: str, tenant: str | None = None) -> StoredDelivery | None:
        """Send one again, under the same id: at once, and for as long as a new one.

        One that still waits is tried at once. It goes behind what waits of its session. Returns
        None if there is none; raises `CannotRedeliver` if it cannot be sent.
        """
        found = await self._find(delivery_id, tenant)
        if found is None:
            return None
        if found.receiver == RESULT_RECEIVER and found.type == RESULT_TYPE:
            if found.status != WAITING:
                raise CannotRedeliver(BODY_GONE)
            await self._make_due(outbox, delivery_id)
        else:
            if self._webhooks is None or found.receiver not in self._webhooks.names:
                raise CannotRedeliver(NO_RECEIVER)
            if found.status == WAITING:
                await self._make_due(table, delivery_id)
            else:
                await self._again(delivery_id, self._webhooks.next_sequence())
            self._webhooks.wake(found.receiver)
        return await self._find(delivery_id, tenant)

    async def _find(self, delivery_id: str, tenant: str | None) -> StoredDelivery | None:
        every = DeliveryFilters(tenant=tenant)
        its = [
            each.query.where(*each.by_row, each.order[1] == delivery_id)
            for each in (_events(every), _results(every))
            if each is not None
        ]

        async def work(connection: AsyncConnection) -> RowMapping | None:
            return (await connection.execute(union_all(*its))).mappings().first()

        row = await self._database.run(work)
        return None if row is None else _delivery(row)

    async def _make_due(self, messages: Any, delivery_id: str) -> None:
        """Make a message due now, unless a try of it is under way."""
        mine = (messages.c.state == WAITING, messages.c.claimed_by.is_(None))
        statement = update(messages).where(messages.c.id == delivery_id, *mine)
        await self._execute(statement.values(next_at=self._clock()))

    async def _again(self, delivery_id: str, sequence: int) -> None:
        now = self._clock()
        await self._execute(
            update(table)
            .where(table.c.id == delivery_id, table.c.state != WAITING)
            .values(
                state=WAITING,
                sequence=sequence,
                attempts=0,
                next_at=now,
                deadline=now + LIFETIME,
                claimed_by=None,
                trouble=None,
                settled_at=None,
            )
        )

    async def _execute(self, statement: Any) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self._database.run(work, write=True)


def _delivery(row: RowMapping) -> StoredDelivery:
    found = StoredDelivery(**row)
    return found if found.status == WAITING else replace(found, next_at=None)


def _events(filters: DeliveryFilters) -> Wanted:
    names = ("id", "receiver", "type", "session_id", "agent", "tenant")
    more = ("created_at", "attempts", "next_at", "trouble", "settled_at")
    query = select(
        *(table.c[name] for name in names),
        table.c.state.label("status"),
        *(table.c[name] for name in more),
    )
    wanted = (
        (table.c.state, filters.status),
        (table.c.receiver, filters.receiver),
        (table.c.tenant, filters.tenant),
    )
    given = [column == value for column, value in wanted if value is not None]
    return Wanted(query, (table.c.created_at, table.c.id), by_row=given)


def _results(filters: DeliveryFilters) -> Wanted | None:
    """Deliveries of results, or None where the filters want none of them: a tenant sees none."""
    if filters.tenant is not None or filters.receiver not in (None, RESULT_RECEIVER):
        return None
    query = select(
        outbox.c.id,
        literal(RESULT_RECEIVER).label("receiver"),
        literal(RESULT_TYPE).label("type"),
        outbox.c.conversation_id.label("session_id"),
        cast(null(), Text).label("agent"),
        cast(null(), Text).label("tenant"),
        outbox.c.state.label("status"),
        outbox.c.created_at,
        outbox.c.attempts,
        outbox.c.next_at,
        cast(null(), Text).label("trouble"),
        cast(null(), Double).label("settled_at"),
    )
    given = [] if filters.status is None else [outbox.c.state == filters.status]
    return Wanted(query, (outbox.c.created_at, outbox.c.id), by_row=given)
