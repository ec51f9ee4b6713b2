"""The audit log: what is noted, who reads it, and that it outlives a database that is away."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.config import Config
from pydantic import SecretStr
from websockets.asyncio.client import connect

from app.history.audit import AuditEntry, AuditFilters, AuditLog
from app.history.database import Database
from app.history.errors import InvalidCursor
from app.history.migrate import migrate
from tests.console.operators import signed_in
from tests.support.gateway import ROOT
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.replicas.pair import ReplicaPair
    from tests.support.oidc import Provider

DAY = 86_400.0
MIGRATIONS = ROOT / "app" / "history" / "migrations"


@pytest.mark.asyncio(loop_scope="package")
async def test_actions_and_looks_at_content_are_noted_with_who_and_what(
    pair: ReplicaPair, provider: Provider
) -> None:
    one, other = (replica.base for replica in pair.replicas)
    since = time.time()
    data = {"agent": "counter", "count": 500, "rate": 20.0}
    ticket = (await pair.mint(subject="audited", additional_data=data))["ticket"]
    async with connect(f"{pair.replicas[0].ws}/ws?ticket={ticket}") as chat:
        while json.loads(await chat.recv())["type"] != "text":
            pass
        session, subject = (await pair.row_of("audited"))["id"], "audited"
        async with signed_in(other, provider, "operator") as operator:
            url = f"{other}/v1/sessions/{session}/watch"
            async with operator.client.stream("GET", url) as stream:
                assert stream.status_code == 200
            assert (await operator.ask("DELETE", f"/v1/sessions/{session}")).status_code == 204

        async def is_stored() -> bool:
            found = await pair.backend.get(f"{one}/v1/conversations/{session}")
            return found.status_code == 200

        assert await until(is_stored, within=60)
        async with signed_in(one, provider, "viewer") as viewer:
            hidden = await viewer.ask("GET", f"/v1/conversations/{session}/transcript")
            assert all(turn["text"] is None for turn in hidden.json()["turns"])
        await pair.backend.get(f"{one}/v1/conversations/{session}/transcript")
        await pair.backend.delete(f"{one}/v1/conversations", params={"subject": subject})
    async with signed_in(other, provider, "admin") as admin:
        assert (await admin.ask("POST", "/console/sign-out")).status_code == 200
    async with signed_in(one, provider, "admin") as admin:
        listed = await admin.ask("GET", "/v1/audit", params={"since": since, "limit": 500})
        entries = listed.json()["entries"]
        mine = [e for e in entries if e["target"] == session or e["action"] == "history.erase"]
        noted = [(e["actor"], e["role"], e["action"]) for e in reversed(mine)]
        watched = [n for n in noted if n[2] == "content.read"]
        assert ("otto@example.com", "operator", "session.end") in noted
        assert watched[0] == ("otto@example.com", "operator", "content.read")
        assert ("service token", "admin", "content.read") in watched
        assert not any(who == "vera@example.com" for who, _, _ in noted)
        assert noted[-1] == ("service token", "admin", "history.erase")
        assert subject not in str(mine)
        signed = {e["action"] for e in entries if e["subject"] == "admin-1"}
        assert signed == {"console.sign_in", "console.sign_out"}
        query = {"since": since, "action": "session.end", "actor": "operator-1"}
        found = (await admin.ask("GET", "/v1/audit", params=query)).json()["entries"]
        assert [entry["target"] for entry in found] == [session]
        assert await _paged(admin, since) == [entry["id"] for entry in entries]
        bad = await admin.ask("GET", "/v1/audit", params={"cursor": "x"})
        assert bad.status_code == 422


async def _paged(admin: Any, since: float) -> list[str]:
    """The ids of all entries, three at a time, but of what came meanwhile."""
    found: list[str] = []
    until_, cursor = time.time(), None
    while True:
        query = {"since": since, "until": until_, "limit": 3} | (
            {"cursor": cursor} if cursor else {}
        )
        page = (await admin.ask("GET", "/v1/audit", params=query)).json()
        found += [entry["id"] for entry in page["entries"]]
        cursor = page["next"]
        if cursor is None:
            return found


def entry(number: int, at: float, **changes: Any) -> AuditEntry:
    values = {"actor": "a", "role": "admin", "action": "session.end", "target": "s"} | changes
    return AuditEntry(id=f"e{number:04}", at=at, **values)


async def test_entries_wait_for_a_database_that_is_away_and_old_ones_go(tmp_path: Path) -> None:
    now = time.time()
    database = Database(SecretStr(f"sqlite+aiosqlite:///{tmp_path}/h.db"))
    log = AuditLog(database, 30.0, lambda: now)
    try:
        await asyncio.gather(*(log.append(entry(n, now + n)) for n in range(3)))  # no table yet
        await migrate(database)
        await log.append(entry(3, now + 3, tenant="t"))
        await log.flush()
        await log.append(entry(4, now - 31 * DAY))
        everything = await log.entries(AuditFilters())
        assert [e.id for e in everything.items] == ["e0003", "e0002", "e0001", "e0000", "e0004"]
        assert [e.id for e in (await log.entries(AuditFilters(tenant="t"))).items] == ["e0003"]
        assert await log.once() == 1
        assert len((await log.entries(AuditFilters())).items) == 4
        with pytest.raises(InvalidCursor):
            await log.entries(AuditFilters(), "nonsense")
    finally:
        await database.close()


async def test_a_database_of_an_earlier_release_is_upgraded_in_place(tmp_path: Path) -> None:
    database = Database(SecretStr(f"sqlite+aiosqlite:///{tmp_path}/h.db"))
    try:

        def first(connection: Any) -> None:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")

        await database.run(lambda connection: connection.run_sync(first), write=True)
        await migrate(database)
        log = AuditLog(database, 30.0, time.time)
        await log.append(entry(1, 1.0, details={"what": "watch"}))
        assert (await log.entries(AuditFilters())).items[0].details == {"what": "watch"}
    finally:
        await database.close()
