"""Usage: every conversation once, with the time that it lasted, also where a replica died."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from app.history.database import Database
from app.history.factory import Clocks, stored_history
from app.history.interface import Direction
from app.history.pending_ends import PendingEnds
from app.history.presence import Presence
from app.history.recorder import QueueRecorder
from app.history.recovery import Recovery
from app.history.retention import Retention
from app.history.store import Store
from app.history.usage import Group, Usage, UsageReader
from app.protocol.close_codes import ENDED, UPSTREAM_FAILED
from tests.history.feed import DOWN, NOW, QUICK, converse, order_tool, start, text
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pydantic import SecretStr
    from sqlalchemy.ext.asyncio import AsyncConnection

DAY = 86_400.0
EVER = (0.0, 1e11)


def recorder_of(database: Database, replica: str, **more: Any) -> QueueRecorder:
    return QueueRecorder(QUICK, monotonic, Store(database), replica=replica, **more)


async def summed(database: Database, group: Group, now: float = NOW + 60, **of: Any) -> list[Usage]:
    since, until = of.pop("during", EVER)
    return await UsageReader(database, lambda: now).usage(since, until, group, **of)


async def test_groups_add_up(database: Database) -> None:
    recorder = recorder_of(database, "a")
    for number, (tenant, kind, at) in enumerate(
        [
            ("acme", "chat", NOW),
            ("acme", "webCall", NOW),
            ("globex", "chat", NOW + DAY),
            (None, "chat", NOW + DAY),
        ]
    ):
        name, who = f"c{number}", f"user-{number % 2}"
        recorder.started(start(name, who, tenant=tenant, call_type=kind, started_at=at))
        for said in ("one", "two"):
            recorder.frame(name, DOWN, at + 1, text("assistant", said))
        recorder.tool(name, *order_tool(1), at + 1, 0.1)
        recorder.ended(name, UPSTREAM_FAILED if number == 1 else ENDED, at + 10 + number)
    await recorder.flush(10)
    by_tenant = await summed(database, Group.TENANT)
    assert sorted(by_tenant, key=lambda u: (u.tenant or "", u.call_type)) == [
        Usage(None, None, "chat", 1, 13.0, 2, 1, 0),
        Usage("acme", "acme", "chat", 1, 10.0, 2, 1, 0),
        Usage("acme", "acme", "webCall", 1, 11.0, 2, 1, 1),
        Usage("globex", "globex", "chat", 1, 12.0, 2, 1, 0),
    ]
    days = await summed(database, Group.DAY, tenant="acme")
    assert {(u.key, u.sessions) for u in days} == {("2026-09-21", 1)}
    assert len(days) == 2, "one for each call type"
    subjects = await summed(database, Group.SUBJECT, during=(NOW + DAY, NOW + DAY + 1))
    assert {(u.key, u.tenant) for u in subjects} == {("user-0", "globex"), ("user-1", None)}
    for group in Group:
        rows = await summed(database, group)
        assert sum(u.sessions for u in rows) == 4
        assert sum(u.seconds for u in rows) == pytest.approx(46)


async def test_living_conversations_count_until_now(database: Database) -> None:
    recorder = recorder_of(database, "a")
    recorder.started(start("living", tenant="acme"))
    await recorder.flush(10)
    clock = [NOW + 20]
    await Presence(database, "a", lambda: clock[0], lambda: True).mark()
    [row] = await summed(database, Group.TENANT, NOW + 25)
    assert (row.sessions, row.seconds, row.failures) == (1, 25.0, 0)
    # Its replica has not been there for long: it ended when that was last seen.
    [row] = await summed(database, Group.TENANT, NOW + 3600)
    assert (row.sessions, row.seconds, row.failures) == (1, 20.0, 1)
    clock[0] = NOW + 3600
    await Presence(database, "a", lambda: clock[0], lambda: True).mark()
    [row] = await summed(database, Group.TENANT, NOW + 3601)
    assert (row.seconds, row.failures) == (3601.0, 0), "it was only slow"
    recorder.ended("living", ENDED, NOW + 4000)
    await recorder.flush(10)
    [row] = await summed(database, Group.TENANT, NOW + 9000)
    assert (row.seconds, row.failures) == (4000.0, 0)


async def test_what_was_recorded_last_is_a_sign_of_life(database: Database) -> None:
    recorder = recorder_of(database, "a")
    recorder.started(start("talked"))
    recorder.frame("talked", DOWN, NOW + 8, text("assistant", "still here"))
    recorder.started(start("clicked"))
    recorder.frame("clicked", Direction.FROM_BROWSER, NOW + 9, b'{"type":"terminate"}')
    recorder.started(start("silent"))
    await recorder.flush(10)
    assert [u.seconds for u in await summed(database, Group.AGENT)] == [17.0], "no replica marked"
    await Presence(database, "a", lambda: NOW + 5, lambda: True).mark()
    assert [u.seconds for u in await summed(database, Group.AGENT)] == [8.0 + 9.0 + 5.0]


async def test_an_end_that_the_queue_still_holds_counts_when_its_replica_dies(
    database: Database,
) -> None:
    """The end is written with the mark; what the queue writes later is the same end."""
    ends = PendingEnds()
    recorder = recorder_of(database, "dead", ends=ends)
    for name in ("ended", "living", "erased"):
        recorder.started(start(name))
    recorder.frame("ended", DOWN, NOW + 1, text("assistant", "hello"))
    await recorder.flush(10)
    recorder.ended("ended", UPSTREAM_FAILED, NOW + 3)
    recorder.ended("erased", ENDED, NOW + 3)
    recorder.started(start("unwritten"))
    recorder.ended("unwritten", ENDED, NOW + 4)
    (erased,) = (each for each in ends._ends if each.start.id == "erased")
    erased.erase()
    presence = Presence(database, "dead", lambda: NOW + 30, lambda: True, ends)
    await Presence(database, "dead", lambda: NOW + 3.4, lambda: True, ends).mark()
    assert [end[0] for end in ends.due()] == ["ended"], "the queue has half a second to write it"
    await presence.mark()
    assert ends.due() == [], "once"
    assert ends, "one is not stored yet"
    [row] = await summed(database, Group.TENANT)
    assert (row.sessions, row.seconds, row.failures) == (3, 3.0 + 30.0 + 30.0, 3)
    await recorder.flush(10)
    assert ends.due() == []
    assert not ends
    [row] = await summed(database, Group.TENANT)
    assert (row.sessions, row.seconds) == (4, 3.0 + 30.0 + 30.0 + 4.0)


async def test_a_mark_waits_for_nobody_who_uses_the_database(postgres_url: SecretStr) -> None:
    """Readers hold all of its connections, and a writer the rows of conversations that ended."""
    clocks = Clocks(monotonic, lambda: NOW + 30)
    history = stored_history(postgres_url, clocks, replica="a")
    database = history.database
    assert database is not None
    await Store(database).open()
    history.recorder.started(start("c"))
    await history.recorder.flush(10)
    history.recorder.ended("c", ENDED, NOW + 3)
    held: list[AsyncConnection] = []
    release = threading.Event()

    async def hold(connection: AsyncConnection) -> None:
        if not held:
            await connection.exec_driver_sql("UPDATE conversations SET lost = 0")
        held.append(connection)
        await asyncio.to_thread(release.wait, 60)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(database.run(hold, write=True, deadline=60))
        await until(lambda: len(held) == 1)
        for _ in range(3):
            tasks.create_task(database.run(hold, deadline=60))
        await until(lambda: len(held) == 4)
        assert history._presence is not None
        await history._presence.mark()
        other = Database(postgres_url)
        [row] = await summed(other, Group.TENANT)
        assert row.seconds == 30.0, "it is there; its end is left to who writes its row"
        release.set()
    await history._presence.mark()
    [row] = await summed(other, Group.TENANT)
    assert row.seconds == 3.0
    await other.close()
    await history.close(5)


@dataclass(frozen=True)
class Noted:
    """A session of the journal."""

    id: str
    replica: str = "dead"
    agent: str = "support"
    call_type: str = "chat"
    subject: str = "ann"
    tenant: str | None = "acme"
    started_at: float = NOW


class Journal:
    """What two replicas share, on a list."""

    def __init__(self, *noted: Noted) -> None:
        self.noted = {each.id: each for each in noted}

    async def settle(self, session_ids: Collection[str]) -> None:
        for name in session_ids:
            self.noted.pop(name, None)

    async def orphans(self) -> Sequence[Noted]:
        return list(self.noted.values())


async def test_a_conversation_that_a_dead_replica_did_not_write_counts_once(
    database: Database,
) -> None:
    """One was written and not settled, one was not written at all."""
    journal = Journal(Noted("unwritten"), Noted("unsettled"))
    recovery = Recovery(database, journal)
    recorder = recorder_of(database, "dead")
    converse(recorder, "unsettled", seed=1, turns=4)
    await recorder.flush(10)
    await Presence(database, "dead", lambda: NOW + 2, lambda: True).mark()
    assert await recovery.recover() == 2
    assert journal.noted == {}
    journal.noted = {"unwritten": Noted("unwritten")}  # another replica was at it, too
    assert await recovery.recover() == 1
    rows = await summed(database, Group.TENANT)
    assert {(u.tenant, u.sessions, u.seconds, u.failures) for u in rows} == {
        (None, 1, 4.0, 0),
        ("acme", 1, 2.0, 1),
    }


async def test_what_is_stored_is_settled(database: Database) -> None:
    journal = Journal(*(Noted(f"c{n}") for n in range(3)))
    recovery = Recovery(database, journal)
    recorder = recorder_of(database, "a", on_stored=recovery.stored)
    for number in range(2):
        converse(recorder, f"c{number}", seed=number)
    assert len(journal.noted) == 3
    await recorder.flush(10)
    await recovery.settle()
    assert list(journal.noted) == ["c2"]


async def test_old_replicas_are_forgotten_with_their_conversations(database: Database) -> None:
    recorder = recorder_of(database, "old")
    converse(recorder, "c", seed=1)
    await recorder.flush(10)
    for name, at in (("old", NOW), ("new", NOW + 100 * DAY)):
        await Presence(database, name, lambda at=at: at, lambda: True).mark()  # type: ignore[misc]
    await Retention(database, 30, lambda: NOW + 100 * DAY).once()

    async def names(connection: Any) -> list[str]:
        from sqlalchemy import select  # noqa: PLC0415

        from app.history.schema import replicas  # noqa: PLC0415

        return list((await connection.execute(select(replicas.c.name))).scalars())

    assert await database.run(names) == ["new"]
    assert await summed(database, Group.TENANT) == []
