"""How much was used, by whom: summed over what history has of conversations.

A conversation counts once, where it began, with all its time. One that has no end lives as long as
its replica is there; where that died, it ended when the replica was last there, or by the last
thing that was recorded of it, whichever is later.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Float, and_, case, cast, func, literal, or_, select
from sqlalchemy import Text as TextType

from app.history.partitioned import PARTITIONED, START
from app.history.schema import conversations, events, replicas, tool_calls, turns
from app.protocol.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, RowMapping, ScalarSelect, Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database

MAX_ROWS: Final = 30_000
"""Rows of (group, tenant, call type) that one answer sums up."""

LIVING: Final = 5.0
"""Seconds since its last mark for which a replica counts as being there."""

DEADLINE: Final = 30.0
NORMAL: Final = 1000
DAY: Final = 86_400.0


class Group(StrEnum):
    """What a row is of."""

    TENANT = "tenant"
    AGENT = "agent"
    SUBJECT = "subject"
    DAY = "day"


class TooMuch(RelayError, ValueError):  # noqa: N818 - what was asked for, told to who asked
    """The answer would have more rows than may be."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The use of one group by one tenant in one call type. `key` is a day as `2026-11-26`."""

    key: str | None
    tenant: str | None
    call_type: str
    sessions: int
    seconds: float
    messages: int
    tool_calls: int
    failures: int


@dataclass(frozen=True, slots=True)
class _During:
    """Aggregates over the rows of each conversation that began in [`since`, `until`).

    `is_partitioned`: such rows are in two tables, and those of the second are found by the start.
    """

    since: float
    until: float
    is_partitioned: bool

    def each(
        self, table: Table, aggregate: Callable[[Table], ColumnElement[Any]]
    ) -> list[ScalarSelect[Any]]:
        """Make the subqueries, one for each table."""
        c = conversations.c
        found = [select(aggregate(table)).where(table.c.conversation_id == c.id)]
        if self.is_partitioned:
            twin = PARTITIONED[table]
            start = twin.c[START]
            its = (twin.c.conversation_id == c.id, start == c.started_at)
            known = (start >= self.since, start < self.until)  # other partitions are not opened
            found.append(select(aggregate(twin)).where(*its, *known))
        return [each.correlate(conversations).scalar_subquery() for each in found]


def _total(parts: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    total: ColumnElement[Any] = literal(0)
    for part in parts:
        total += func.coalesce(part, 0)
    return total


class UsageReader:
    """Sums conversations up. `clock` is in Unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def usage(
        self, since: float, until: float, group: Group, tenant: str | None = None
    ) -> list[Usage]:
        """Sum the conversations that began in [since, until) up: a tenant's, or with None all.

        Raises `TooMuch`, and `HistoryUnavailable`.
        """
        query = self._query(since, until, group, tenant)

        async def work(connection: AsyncConnection) -> list[RowMapping]:
            return list((await connection.execute(query)).mappings())

        rows = await self._database.run(work, deadline=DEADLINE)
        if len(rows) > MAX_ROWS:
            raise TooMuch
        return [
            Usage(
                row["key"],
                row["tenant"],
                row["call_type"],
                row["sessions"],
                float(row["seconds"] or 0.0),
                int(row["messages"] or 0),
                int(row["tool_calls"] or 0),
                int(row["failures"] or 0),
            )
            for row in rows
        ]

    def _query(self, since: float, until: float, group: Group, tenant: str | None) -> Select[Any]:
        c, now = conversations.c, self._clock()
        is_living = replicas.c.seen_at >= now - LIVING
        during = _During(since, until, is_partitioned=self._database.is_postgresql)
        messages = during.each(turns, lambda t: func.sum(t.c.pieces))
        tools = during.each(tool_calls, lambda _: func.count())
        lost = and_(c.ended_at.is_(None), or_(replicas.c.seen_at.is_(None), ~is_living))
        failed = or_(and_(c.close_code.is_not(None), c.close_code != NORMAL), lost)
        key = self._key(group)
        query = (
            select(
                key.label("key"),
                c.tenant,
                c.call_type,
                func.count().label("sessions"),
                func.sum(self._seconds(now, is_living, during)).label("seconds"),
                func.sum(_total(messages)).label("messages"),
                func.sum(_total(tools)).label("tool_calls"),
                func.sum(case((failed, 1), else_=0)).label("failures"),
            )
            .select_from(conversations.outerjoin(replicas, replicas.c.name == c.replica))
            .where(c.started_at >= since, c.started_at < until)
            .group_by(key, c.tenant, c.call_type)
            .order_by(key, c.tenant, c.call_type)
            .limit(MAX_ROWS + 1)
        )
        return query if tenant is None else query.where(c.tenant == tenant)

    def _key(self, group: Group) -> ColumnElement[Any]:
        started = conversations.c.started_at
        if group is not Group.DAY:
            return conversations.c[group.value]
        if self._database.is_postgresql:
            moment = func.timezone("UTC", func.to_timestamp(started))
            return func.to_char(moment, cast(literal("YYYY-MM-DD"), TextType))
        return func.date(started, "unixepoch")

    def _seconds(
        self, now: float, is_living: ColumnElement[bool], during: _During
    ) -> ColumnElement[Any]:
        c = conversations.c
        latest = func.greatest if self._database.is_postgresql else func.max
        spoken = during.each(turns, lambda t: func.max(t.c.ended_at))
        happened = during.each(events, lambda t: func.max(t.c.at))
        last_sign = latest(
            c.started_at,
            func.coalesce(replicas.c.seen_at, c.started_at),
            *(func.coalesce(last, c.started_at) for last in (*spoken, *happened)),
        )
        end = case(
            (c.ended_at.is_not(None), c.ended_at),
            (is_living, cast(literal(now), Float(53))),
            else_=last_sign,
        )
        return latest(end - c.started_at, cast(literal(0.0), Float(53)))
