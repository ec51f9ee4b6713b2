"""What became of events and results: a page at a time, and sending one again.

Every coroutine raises `HistoryUnavailable` when the database does not answer in time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Double, Text, cast, literal, null, select, tuple_, union_all, update

from app.history.cursor import decode, encode
from app.history.errors import CannotRedeliver
from app.history.lifecycle.webhooks import LIFETIME
from app.history.model import Page
from app.history.results.database_outbox import WAITING
from app.history.schema import deliveries as table
from app.history.schema import outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Select, Subquery, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database
    from app.history.lifecycle.webhooks import EventWebhooks

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
        """List deliveries, the latest first. Raises `InvalidCursor`."""
        limit = max(1, min(limit, MOST))
        after = None if cursor is None else decode(cursor, float, str)
        # Each kind by its own index, as many as a page takes at the most.
        latest = [
            _latest(messages, query, after, limit + 1)
            for messages, query in ((table, _events(filters)), (outbox, _results(filters)))
            if query is not None
        ]
        if not latest:
            return Page(())
        everything = union_all(*(select(each) for each in latest)).subquery()
        order = (everything.c.created_at.desc(), everything.c.id.desc())
        rows = await self._all(select(everything).order_by(*order).limit(limit + 1))
        items = tuple(StoredDelivery(**row) for row in rows[:limit])
        more = len(rows) > limit
        return Page(items, encode(float(items[-1].created_at), items[-1].id) if more else None)

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
            await self._hurry(outbox, delivery_id)
        else:
            if self._webhooks is None or found.receiver not in self._webhooks.names:
                raise CannotRedeliver(NO_RECEIVER)
            if found.status == WAITING:
                await self._hurry(table, delivery_id)
            else:
                await self._again(delivery_id, self._webhooks.next_sequence())
            self._webhooks.wake(found.receiver)
        return await self._find(delivery_id, tenant)

    async def _find(self, delivery_id: str, tenant: str | None) -> StoredDelivery | None:
        none = DeliveryFilters()
        its = [
            query.where(messages.c.id == delivery_id)
            for messages, query in ((table, _events(none)), (outbox, _results(none)))
            if query is not None
        ]
        everything = union_all(*its).subquery()
        query = select(everything)
        if tenant is not None:
            query = query.where(everything.c.tenant == tenant)
        rows = await self._all(query)
        return StoredDelivery(**rows[0]) if rows else None

    async def _hurry(self, messages: Any, delivery_id: str) -> None:
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

    async def _all(self, query: Select[Any]) -> list[dict[str, Any]]:
        async def work(connection: AsyncConnection) -> list[dict[str, Any]]:
            rows = (await connection.execute(query)).mappings()
            return [dict(row) for row in rows]

        found = await self._database.run(work)
        for row in found:
            if row["status"] != WAITING:
                row["next_at"] = None
        return found


def _latest(
    messages: Table, query: Select[Any], after: tuple[float | str, ...] | None, most: int
) -> Subquery:
    """The latest of one kind, from a cursor on."""
    key = (messages.c.created_at, messages.c.id)
    if after is not None:
        query = query.where(tuple_(*key) < tuple_(*after))
    return query.order_by(*(column.desc() for column in key)).limit(most).subquery()


def _events(filters: DeliveryFilters) -> Select[Any]:
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
    return query.where(*(column == value for column, value in wanted if value is not None))


def _results(filters: DeliveryFilters) -> Select[Any] | None:
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
    return query if filters.status is None else query.where(outbox.c.state == filters.status)
