"""Indexes of large tables of PostgreSQL, built while gateways write to them.

A migration makes an index at once where the table is small. Where it is not, that would stop all
writes for as long as it takes, so the gateway builds it afterwards, CONCURRENTLY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import text

from app.history.errors import HistoryUnavailable, Unstorable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database

log = structlog.get_logger(__name__)

INDEXES: Final = {"outbox_by_time": "outbox (created_at, id)"}
DEADLINE: Final = 3600.0

# An index that is not valid is being built, by another replica, or was given up in the middle.
_STATE: Final = text(
    "SELECT i.indisvalid, p.pid IS NOT NULL FROM pg_index i "
    "LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = i.indexrelid "
    "WHERE i.indexrelid = to_regclass(:name)"
)


async def build_missing_indexes(database: Database) -> None:
    """Build what migrations left out; never raises, and is tried again at the next start."""
    if not database.is_postgresql:
        return
    for name, columns in INDEXES.items():
        try:
            if await database.run(lambda c, it=name: _is_missing(c, it)):  # type: ignore[misc]
                await _build(database, name, columns)
        except (HistoryUnavailable, Unstorable) as error:
            log.warning("history_index_failed", index=name, error=str(error))


async def _is_missing(connection: AsyncConnection, name: str) -> bool:
    found = (await connection.execute(_STATE, {"name": name})).first()
    return found is None or not (found[0] or found[1])


async def _build(database: Database, name: str, columns: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))
        await connection.execute(
            text(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {columns}")
        )

    log.info("history_index_begun", index=name)
    await database.run(work, write=True, deadline=DEADLINE, autocommit=True)
    log.info("history_index_built", index=name)
