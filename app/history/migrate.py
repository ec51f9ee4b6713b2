"""Bring the database to this version's schema, however many replicas start at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database

log = structlog.get_logger(__name__)

LOCK: Final = 0x_B1ACB0C5
"""The advisory lock that PostgreSQL serialises migrations by; SQLite locks its whole file."""

DEADLINE: Final = 60.0


async def migrate(database: Database) -> None:
    """Upgrade to the newest revision in one transaction, under a lock.

    Raises `HistoryLost` when the database is gone, or locked for a minute.
    """

    async def upgrade(connection: AsyncConnection) -> None:
        if database.is_postgresql:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        await connection.run_sync(_upgrade)

    await database.run(upgrade, write=True, deadline=DEADLINE)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {s.revision for s in scripts.walk_revisions()}:
        # A newer version has been here (a rolled back deployment): revisions only ever add.
        log.warning("history_schema_newer", revision=current)
        return
    command.upgrade(config, "head")
