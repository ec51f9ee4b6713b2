"""The audit log in the history database: entries are added and read, and nothing changes them.

Only retention removes entries, the oldest, by age; the database's triggers refuse any other change
(`migrations/versions/v0007_accountability.py`). An entry that the database does not take now
waits in memory, bounded, and is written later: an action is not held up by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Final

import orjson
import structlog
from sqlalchemy import and_, delete, insert, or_, select, tuple_

from app.backoff import jittered
from app.history.cursor import decode, encode
from app.history.errors import HistoryUnavailable, Unstorable
from app.history.model import Page
from app.history.schema import audit, audit_retention
from app.telemetry.loss_log import LossLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database

log = structlog.get_logger(__name__)

DAY: Final = 86_400.0
MAX_WAITING: Final = 10_000
DEADLINE: Final = 2.0
RETRY: Final = 5.0
RETENTION_EVERY: Final = 3600.0
BITE: Final = 1000
MOST: Final = 500


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to what, and when (Unix seconds). `details` hold no content and no secret.

    `subject` is a person's identifier at the provider, None for a backend; `tenant` is whose token
    it was, None for the operator of the gateway.
    """

    id: str
    at: float
    actor: str
    role: str
    action: str
    target: str
    subject: str | None = None
    tenant: str | None = None
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditFilters:
    """What to list: entries that fit every given value; `actor` is a name or a subject."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    tenant: str | None = None
    since: float | None = None
    until: float | None = None


class AuditLog:
    """`days` is how long entries stay; `clock` is in Unix seconds."""

    def __init__(self, database: Database, days: float, clock: Callable[[], float]) -> None:
        self._database = database
        self._days = days
        self._clock = clock
        self._waiting: deque[AuditEntry] = deque()
        self._lost = LossLog(log, "audit_lost", "entries")
        self._delayed = LossLog(log, "audit_delayed", "entries", level=logging.WARNING)

    async def append(self, entry: AuditEntry) -> None:
        """Add an entry, now or as soon as the database takes it; never raises."""
        if not self._waiting:
            try:
                await self._write([entry])
            except HistoryUnavailable as error:
                self._delayed.lost(error=str(error), advice=error.advice)
            except Unstorable as error:
                self._lost.lost(entry=entry.id, error=str(error))
                return
            else:
                return
        self._waiting.append(entry)
        if len(self._waiting) > MAX_WAITING:
            self._lost.lost(entry=self._waiting.popleft().id, error="too many wait")

    async def entries(
        self, filters: AuditFilters, cursor: str | None = None, limit: int = 100
    ) -> Page[AuditEntry]:
        """List entries, the latest first. Raises `HistoryUnavailable` and `InvalidCursor`."""
        limit = max(1, min(limit, MOST))
        order = (audit.c.at, audit.c.id)
        query = select(audit).where(*_conditions(filters))
        query = query.order_by(*(column.desc() for column in order)).limit(limit + 1)
        if cursor is not None:
            query = query.where(tuple_(*order) < tuple_(*decode(cursor, float, str)))

        async def work(connection: AsyncConnection) -> list[RowMapping]:
            return list((await connection.execute(query)).mappings())

        rows = await self._database.run(work)
        items = tuple(_entry(row) for row in rows[:limit])
        more = len(rows) > limit
        return Page(items, encode(float(items[-1].at), items[-1].id) if more else None)

    async def run(self) -> None:
        """Write what waits and let the oldest entries go, until cancelled; never raises."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write_waiting(), name="audit:write")
            tasks.create_task(self._forget_old(), name="audit:retention")

    async def flush(self) -> None:
        """Write what waits, once; at the end of the process."""
        while self._waiting:
            some = list(self._waiting)[:BITE]
            try:
                await self._write(some)
            except HistoryUnavailable:
                return
            except Unstorable as error:
                self._lost.lost(len(some), error=str(error))
            for entry in some:
                if self._waiting and self._waiting[0] is entry:
                    self._waiting.popleft()

    async def once(self) -> int:
        """Remove entries older than `days`; return how many. Raises `HistoryUnavailable`."""
        before, removed = self._clock() - self._days * DAY, 0
        while True:
            old = select(audit.c.id).where(audit.c.at < before).limit(BITE)
            statement = delete(audit).where(audit.c.id.in_(old))

            async def work(connection: AsyncConnection, statement=statement) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001
                await connection.execute(insert(audit_retention), {"before": before})
                bitten = int((await connection.execute(statement)).rowcount)
                await connection.execute(delete(audit_retention))
                return bitten

            bitten = await self._database.run(work, write=True)
            removed += bitten
            if bitten < BITE:
                return removed

    async def _write(self, entries: Sequence[AuditEntry]) -> None:
        rows = [
            asdict(entry) | {"details": orjson.dumps(entry.details).decode()} for entry in entries
        ]

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(audit), rows)

        await self._database.run(work, write=True, deadline=DEADLINE)

    async def _write_waiting(self) -> None:
        while True:
            await asyncio.sleep(RETRY)
            await self.flush()

    async def _forget_old(self) -> None:
        while True:
            await asyncio.sleep(jittered(RETENTION_EVERY))
            try:
                removed = await self.once()
            except (HistoryUnavailable, Unstorable) as error:
                log.warning("audit_retention_failed", error=str(error))
            else:
                if removed:
                    log.info("audit_retention", entries=removed)


def _conditions(filters: AuditFilters) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for name in ("action", "target", "tenant"):
        value = getattr(filters, name)
        if value is not None:
            found.append(audit.c[name] == value)
    if filters.actor is not None:
        found.append(or_(audit.c.actor == filters.actor, audit.c.subject == filters.actor))
    if filters.since is not None:
        found.append(audit.c.at >= filters.since)
    if filters.until is not None:
        found.append(audit.c.at < filters.until)
    return [and_(*found)] if found else []


def _entry(row: RowMapping) -> AuditEntry:
    values = {each.name: row[each.name] for each in fields(AuditEntry)}
    return AuditEntry(**values | {"details": orjson.loads(values["details"])})
