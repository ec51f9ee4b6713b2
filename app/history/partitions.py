"""Partitions of PostgreSQL's history: made ahead, made on demand, dropped when all in them is old.

Any replica does it, under an advisory lock, and doing it twice is doing it once. What finds no
partition goes to the default one, so that nothing is lost while none can be made; it is moved as
soon as one can. With SQLite there are none, and nothing here does anything.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import text

from app.history.errors import HistoryUnavailable, Unstorable
from app.history.partitioned import DAY, PARTITIONED, START

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database

log = structlog.get_logger(__name__)

WEEK: Final = 7.0
LONG: Final = 90.0
"""Days of retention above which a partition holds a week, not a day: their number stays small."""

AHEAD: Final = 3
"""Days ahead for which there are partitions, today's besides."""

LOCK: Final = 0x_B1ACB0C7
"""The advisory lock of who makes or drops partitions."""

LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '1s'"
"""A table's lock is waited for that long: all who need the table wait behind it."""

DEADLINE: Final = 60.0
MAX_DAYS: Final = 64
"""Days for which one round makes partitions."""

MAX_KNOWN: Final = 1000
MAX_SURVIVORS: Final = 1000
"""Conversations that ended much later than they began, and whose rows outlive their partition."""

BITE: Final = 1000
PARENTS: Final = tuple(twin.name for twin in PARTITIONED.values())

_FOUND: Final = text(
    "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i "
    "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:parent AS regclass)"
)
_SURVIVORS: Final = text(
    "SELECT id FROM conversations WHERE started_at >= :since AND started_at < :until LIMIT :most"
)
_RANGE: Final = re.compile(r"FROM \('?([^')]+)'?\) TO \('?([^')]+)'?\)")


@dataclass(frozen=True, slots=True)
class Partition:
    """A table for conversations that began in [`since`, `until`), in Unix seconds."""

    name: str
    since: float
    until: float


def gap(partitions: Collection[Partition], day: int, width: int) -> tuple[float, float] | None:
    """The range of the partition that this day (since the epoch) lacks, or None if it has one.

    It is `width` days long, but reaches into no other: the width may have been another one before.
    """
    at = day * DAY
    if any(each.since <= at < each.until for each in partitions):
        return None
    since, until = day // width * width * DAY, (day // width + 1) * width * DAY
    since = max([since, *(each.until for each in partitions if each.until <= at)])
    until = min([until, *(each.since for each in partitions if each.since > at)])
    return since, until


class Partitions:
    """Makes and drops partitions. `days` is how long history stays."""

    def __init__(self, database: Database, days: float = 30.0) -> None:
        self._database = database
        self._width = int(WEEK) if days > LONG else 1
        self._known: set[int] = set()

    async def cover(self, starts: Iterable[float]) -> None:
        """Make the partitions that conversations of these starts lack; never raises."""
        if not self._database.is_postgresql:
            return
        days = {int(at // DAY) for at in starts if at is not None and math.isfinite(at)}
        if days <= self._known:
            return
        lacking = days - self._known
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        self._known |= lacking  # also if it fails: a batch is not to wait for it each time
        await self._make(sorted(lacking)[-MAX_DAYS:])

    async def maintain(self, now: float, before: float) -> None:
        """Make partitions for the days ahead and for what the default partition holds.

        `before` (Unix seconds): what is older is retention's. Never raises.
        """
        if not self._database.is_postgresql:
            return
        today = int(now // DAY)
        await self._make(range(today, today + AHEAD + 1))
        try:
            astray = await self._database.run(lambda c: _days_in_default(c, before))
        except (HistoryUnavailable, Unstorable) as error:
            _failed(error)
            return
        if astray:
            names = [f"{datetime.fromtimestamp(day * DAY, UTC):%Y-%m-%d}" for day in astray]
            log.warning("history_rows_without_partition", days=names)
            await self._make(astray)

    async def drop(self, before: float) -> int:
        """Drop partitions of which all is older, and delete such rows of the default partitions.

        Retention must have deleted the conversations before. Returns how many were dropped. Raises
        `HistoryUnavailable`; a table that is in use for too long is left for the next time.
        """
        if not self._database.is_postgresql:
            return 0
        dropped = 0
        for parent in PARENTS:
            old = await self._database.run(lambda c, parent=parent: _partitions(c, parent))  # type: ignore[misc]
            for each in sorted(old, key=lambda p: p.since):
                if each.until <= before:
                    dropped += await self._drop(parent, each)
            await self._delete_leftovers(parent, before)
        if dropped:
            self._known.clear()
        return dropped

    async def _make(self, days: Collection[int]) -> None:
        async def work(connection: AsyncConnection) -> list[str]:
            await connection.execute(text(LOCK_TIMEOUT))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            made = []
            for parent in PARENTS:
                found = await _partitions(connection, parent)
                for day in days:
                    lacking = gap(found, day, self._width)
                    if lacking is not None:
                        found.append(await _create(connection, parent, *lacking))
                        made.append(found[-1].name)
            return made

        try:
            made = await self._database.run(work, write=True, deadline=DEADLINE)
        except (HistoryUnavailable, Unstorable) as error:
            _failed(error)
        else:
            if made:
                log.info("history_partitions_made", tables=made)

    async def _drop(self, parent: str, partition: Partition) -> bool:
        async def work(connection: AsyncConnection) -> bool:
            await connection.execute(text(LOCK_TIMEOUT))
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            if partition not in await _partitions(connection, parent):
                return False  # another replica was quicker
            left = await connection.execute(
                _SURVIVORS,
                {"since": partition.since, "until": partition.until, "most": MAX_SURVIVORS + 1},
            )
            survivors = list(left.scalars())
            if len(survivors) > MAX_SURVIVORS:
                return False
            await _drop(connection, parent, partition.name, survivors)
            return True

        try:
            return await self._database.run(work, write=True, deadline=DEADLINE)
        except (HistoryUnavailable, Unstorable) as error:
            log.warning("history_partition_kept", table=partition.name, error=str(error))
            return False

    async def _delete_leftovers(self, parent: str, before: float) -> None:
        """Delete old rows without a conversation from a default partition, in bites."""
        statement = text(
            f"DELETE FROM {parent}_default WHERE ctid = ANY(ARRAY("  # noqa: S608
            f"SELECT old.ctid FROM {parent}_default old WHERE old.{START} < :before AND NOT EXISTS "
            "(SELECT 1 FROM conversations c WHERE c.id = old.conversation_id) LIMIT :bite))"
        )

        async def work(connection: AsyncConnection) -> int:
            return (await connection.execute(statement, {"before": before, "bite": BITE})).rowcount

        while await self._database.run(work, write=True) >= BITE:
            pass


async def _partitions(connection: AsyncConnection, parent: str) -> list[Partition]:
    """The partitions of a table, but for the default one."""
    rows = await connection.execute(_FOUND, {"parent": parent})
    found = ((name, _RANGE.search(bound)) for name, bound in rows if bound is not None)
    return [Partition(name, float(m[1]), float(m[2])) for name, m in found if m is not None]


async def _days_in_default(connection: AsyncConnection, before: float) -> list[int]:
    """Days since the epoch whose rows are in a default partition, and not old."""
    days: set[int] = set()
    for parent in PARENTS:
        found = await connection.execute(
            text(
                f"SELECT DISTINCT floor({START} / {DAY}) FROM {parent}_default "  # noqa: S608
                f"WHERE {START} >= :before LIMIT {MAX_DAYS}"
            ),
            {"before": before},
        )
        days.update(int(day) for day in found.scalars())
    return sorted(days)[-MAX_DAYS:]


async def _create(
    connection: AsyncConnection, parent: str, since: float, until: float
) -> Partition:
    """Create a partition, with the rows of its range that are in the default partition.

    Attaching it takes a lock on the parent that stops neither reads nor writes; the default
    partition is locked, which nothing uses as long as no partition was missing.
    """
    name = f"{parent.removeprefix('partitioned_')}_{datetime.fromtimestamp(since, UTC):%Y%m%d}"
    within = f"{START} >= {since!r} AND {START} < {until!r}"
    bounds = f"FROM ({since!r}) TO ({until!r})"
    moved = f"DELETE FROM {parent}_default WHERE {within} RETURNING *"  # noqa: S608
    for statement in (
        f"CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"LOCK TABLE {parent}_default IN ACCESS EXCLUSIVE MODE",
        f"WITH moved AS ({moved}) INSERT INTO {name} SELECT * FROM moved",  # noqa: S608
        f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES {bounds}",
    ):
        await connection.execute(text(statement))
    return Partition(name, since, until)


async def _drop(connection: AsyncConnection, parent: str, name: str, survivors: list[str]) -> None:
    """Drop a partition; what is in it of `survivors` moves to the default partition."""
    await connection.execute(text(f"LOCK TABLE ONLY {parent} IN ACCESS EXCLUSIVE MODE"))
    if survivors:
        await connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE surviving ON COMMIT DROP AS SELECT * FROM {name} LIMIT 0"  # noqa: S608
        )
        await connection.exec_driver_sql(
            f"INSERT INTO surviving SELECT * FROM {name} "  # noqa: S608
            "WHERE conversation_id = ANY($1::text[])",
            (survivors,),
        )
    await connection.execute(text(f"DROP TABLE {name}"))
    if survivors:
        await connection.execute(text(f"INSERT INTO {parent} SELECT * FROM surviving"))  # noqa: S608


def _failed(error: HistoryUnavailable | Unstorable) -> None:
    advice = getattr(error, "advice", "") or "rows go to the default partition until it works"
    log.warning("history_partition_failed", error=str(error), advice=advice)
