"""The database itself refuses to change the audit log; retention removes what is old alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from app.history.audit import DAY, AuditEntry, AuditFilters, AuditLog
from app.history.errors import Unstorable
from app.history.migrate import migrate

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.history.database import Database


def entry(name: str, at: float) -> AuditEntry:
    return AuditEntry(name, at, "ann", "admin", "session.end", "s-1")


async def do(database: Database, *statements: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        for statement in statements:
            await connection.execute(text(statement))

    await database.run(work, write=True)


async def count(database: Database, table: str) -> int:
    async def work(connection: AsyncConnection) -> int:
        found = await connection.execute(text(f"SELECT COUNT(*) FROM {table}"))  # noqa: S608
        return int(found.scalar_one())

    return await database.run(work)


async def names(log: AuditLog) -> list[str]:
    return [each.id for each in (await log.entries(AuditFilters())).items]


FORBIDDEN = (
    "UPDATE audit SET actor = 'eve'",
    "UPDATE audit SET at = at WHERE id = 'old'",
    "DELETE FROM audit",
    "DELETE FROM audit WHERE id = 'old'",
)


async def test_no_statement_changes_or_removes_an_entry_but_retentions(database: Database) -> None:
    await migrate(database)
    now = time.time()
    log = AuditLog(database, 30.0, lambda: now)
    for name, age in (("old", 31), ("older", 400), ("new", 1)):
        await log.append(entry(name, now - age * DAY))
    only_postgresql = ("TRUNCATE audit",) if database.is_postgresql else ()
    for statement in (*FORBIDDEN, *only_postgresql):
        with pytest.raises(Unstorable):
            await do(database, statement)
    before = f"INSERT INTO audit_retention VALUES ({now - 30 * DAY})"  # noqa: S608 - a number
    with pytest.raises(Unstorable):
        await do(database, before, "DELETE FROM audit WHERE id = 'new'")
    with pytest.raises(Unstorable):
        await do(database, before, "UPDATE audit SET actor = 'eve' WHERE id = 'old'")
    assert await names(log) == ["new", "old", "older"]
    assert {e.actor for e in (await log.entries(AuditFilters())).items} == {"ann"}

    assert await log.once() == 2
    assert await names(log) == ["new"]
    assert await log.once() == 0
    assert await count(database, "audit_retention") == 0
    with pytest.raises(Unstorable):
        await do(database, "DELETE FROM audit WHERE id = 'new'")
