"""Real browsers, a real gateway, a real vendor, a real PostgreSQL: what was said is what is kept.

And when the database is frozen, killed or full: nothing waits for it, and what is lost is counted.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from signal import SIGTERM
from time import monotonic
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from app.history.schema import conversations
from tests.history.crowd import (
    NUMBER,
    Backend,
    Crowd,
    Script,
    of_each,
    seen_by,
    went_well,
)
from tests.history.disk import fill, open_home, small_disk
from tests.support.gateway import SCRIPT, Gateway, emulator
from tests.support.postgres import Postgres
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.history.crowd import Seen, Talk
    from tests.support.gateway import Emulator

pytestmark = pytest.mark.timeout(600)  # a busy machine takes its time
FEW = 40
SIZES = [
    pytest.param(FEW, id="forty"),
    pytest.param(1000, id="a_thousand", marks=pytest.mark.nightly),
]
BULK = 160 << 20
"""Bytes that all agents say together where history's bound, 64 MiB, shall be passed."""

AGENT = {"initialize": {"additionalData": {"agent": "counter"}}, "client_data_keys": SCRIPT}
# Limits that are other tests' subject are out of the way; a busy machine is given time.
ROOMY: dict[str, Any] = {
    "agents": {"default": AGENT},
    "log_level": "info",
    "initialize_timeout": 120,
    "connect_timeout": 60,
    "ping_timeout": 15,
    "frame_burst": 1000,
}
DROPPED = 'relay_history_dropped_total{kind="record"}'
PASSWORD = "not-asked-for"

# How many records of each conversation are in the database, as they were fed.
FOUND = f"""
    SELECT c.id, c.lost, 1 + (c.ended_at IS NOT NULL)::int
        + (SELECT coalesce(sum(pieces), 0) FROM partitioned_turns t WHERE t.conversation_id = c.id)
        + (SELECT count(*) FROM partitioned_events e WHERE e.conversation_id = c.id)
        + (SELECT count(*) FROM partitioned_results r WHERE r.conversation_id = c.id)
        + (SELECT count(*) FROM partitioned_tool_calls k WHERE k.conversation_id = c.id) AS records
    FROM {conversations.name} c
"""  # noqa: S608 - names of our own tables


@pytest.fixture
def server() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


class Scene:
    """A crowd that talks through a gateway whose history is in a database of that server."""

    def __init__(self, url: str, vendor: Emulator, gateway: Gateway, crowd: Crowd) -> None:
        self.crowd = crowd
        self.seen: dict[str, Seen] = {}
        self._url = url
        self._vendor = vendor
        self._gateway = gateway

    async def dropped(self) -> float:
        """How many records the gateway says that it lost."""
        return await self._gateway.metric(DROPPED)

    async def lost_some(self, since: float) -> bool:
        """Whether the database has been away for long enough: records were lost."""
        return monotonic() - since > outage(len(self.crowd.talks)) and await self.dropped() > 0

    async def found(self) -> dict[str, tuple[int, int]]:
        """How many records of each conversation are there, and how many it says that it lacks."""
        connection = await asyncpg.connect(self._url.replace("+asyncpg", ""))
        try:
            rows = await connection.fetch(FOUND)
        finally:
            await connection.close()
        return {row["id"]: (int(row["records"]), int(row["lost"])) for row in rows}

    async def settled(self) -> float:
        """Wait until every record is in the database, or counted as lost; return how many are."""
        fed = sum(seen.records for seen in self.seen.values())
        at: dict[str, float] = {}

        async def accounted() -> bool:
            found = sum(records for records, _ in (await self.found()).values())
            at.update(fed=fed, found=found, dropped=await self.dropped())
            return at["found"] + at["dropped"] == fed

        try:
            await until(accounted, within=90, every=0.2)
        except AssertionError:
            pytest.fail(f"never accounted for: {at}\n{self._gateway.log[-3000:]}")
        return at["dropped"]

    async def nothing_is_missing(self) -> None:
        """Compare every transcript and every tool call with what was said and asked for."""
        async with aclosing(Backend(self._gateway)) as backend:

            async def differs(talk: Talk) -> str | None:
                kept = await backend.get(talk.session)
                tools = (await backend.get(talk.session, "/events"))["tools"]
                result = self.seen[talk.marker].result
                every = self.crowd.script.tool_every
                asked = {str(1000 + every * (n + 1)) for n in range(result["toolCalls"])}
                facts = {
                    "whole": (kept["lost"], kept["close_code"]) == (0, 1000),
                    "turns": await backend.turns(talk) == talk.turns,
                    "result": kept["result"]["body"] == result,
                    "tools": {tool["arguments"]["order_number"] for tool in tools} == asked,
                    "each tool once": len(tools) == result["toolCalls"],
                    "tools' outcome": {tool["outcome"] for tool in tools} == {"ok"},
                }
                return next(
                    (f"{talk.marker}: {f}" for f, holds in facts.items() if not holds), None
                )

            found = await of_each(self.crowd.talks, differs)
        assert [difference for difference in found if difference] == []

    async def losses_are_told(self) -> None:
        """Compare what each conversation says that it lacks with what it does lack.

        What was kept is what was said, in its order.
        """
        assert await self.settled() > 0
        found = await self.found()
        assert set(found) == {talk.session for talk in self.crowd.talks}
        missing = {
            talk.marker: self.seen[talk.marker].records - found[talk.session][0]
            for talk in self.crowd.talks
        }
        told = {talk.marker: found[talk.session][1] for talk in self.crowd.talks}
        assert missing == told
        async with aclosing(Backend(self._gateway)) as backend:
            all_turns = await of_each(self.crowd.talks, backend.turns)
        for kept in all_turns:
            for source in ("assistant", "user"):
                texts = [(text, pieces) for who, text, pieces in kept if who == source]
                numbers = [int(n) for text, _ in texts for n in NUMBER.findall(text)]
                assert numbers == sorted(set(numbers))
                assert len(numbers) == sum(pieces for _, pieces in texts)

    def nobody_waited(self, began: float, ended: float) -> None:
        """No frame was held up while the database was away."""
        assert self.crowd.said_between(began, (began + ended) / 2) >= len(self.crowd.talks)
        assert self.crowd.waited(began, ended) == []

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Let the crowd talk; the block begins when all do, and ends before they have ended.

        Afterwards every conversation was whole: whatever became of history, nobody noticed.
        """
        async with asyncio.timeout(1200), asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(self.crowd.run())
            await until(lambda: self.crowd.all_talk, within=300)
            self.crowd.may_talk.set()
            yield
            assert not holding.done(), "the outage came too late"
            self.crowd.may_end.set()
        self.seen = await seen_by(self._vendor, len(self.crowd.talks))
        assert went_well(self.crowd, self.seen) == []


@asynccontextmanager
async def scene(server: Postgres, size: int, script: Script) -> AsyncIterator[Scene]:
    """Everything there is, for the time of a block; it logs no secret, and ends as it should."""
    url = await server.database()
    async with emulator() as vendor:
        running = Gateway(vendor.url, history_url=url, **ROOMY)
        running.secrets["the database's password"] = PASSWORD
        await running.start()
        try:
            await running.ready()
            yield Scene(url, vendor, running, Crowd(running, size, script))
        finally:
            running.signal(SIGTERM)
            try:
                status = await running.ended(within=120)
            except TimeoutError:
                await running.kill()
                pytest.fail(f"it did not end: {running.log[-3000:]}")
        assert status == 0, running.log[-3000:]


def short(size: int) -> Script:
    """Texts as people write them; many people take their time."""
    return Script(rate=10 if size <= FEW else 0.4)


def long(size: int) -> Script:
    """So much that history cannot keep it all without its database."""
    texts = 50
    return Script(texts, rate=5 if size <= FEW else 0.5, size=BULK // size // texts)


def outage(size: int) -> float:
    """Seconds that a database is away, at least."""
    return 3 if size <= FEW else 10


@pytest.mark.parametrize("size", SIZES)
async def test_every_transcript_is_what_was_said(server: Postgres, size: int) -> None:
    async with scene(server, size, short(size)) as it:
        async with it.talking():
            pass
        assert await it.settled() == 0
        await it.nothing_is_missing()


@pytest.mark.parametrize("size", SIZES)
async def test_a_frozen_database_loses_nothing_and_delays_nobody(
    server: Postgres, size: int
) -> None:
    async with scene(server, size, short(size)) as it:
        async with it.talking():
            server.pause()
            began = monotonic()
            await asyncio.sleep(
                10 if size > 100 else 2.5
            )  # the freeze itself is what is waited for
            ended = monotonic()
            server.resume()
        it.nobody_waited(began, ended)
        assert await it.settled() == 0
        await it.nothing_is_missing()


@pytest.mark.parametrize("size", SIZES)
async def test_a_killed_database_loses_what_is_counted_and_delays_nobody(
    server: Postgres, size: int
) -> None:
    async with scene(server, size, long(size)) as it:
        async with it.talking():
            server.kill()
            began = monotonic()
            await until(lambda: it.lost_some(began), within=180, every=0.1)
            ended = monotonic()
            server.start()
        it.nobody_waited(began, ended)
        await it.losses_are_told()


@pytest.mark.parametrize("size", SIZES)
async def test_a_full_disk_loses_what_is_counted_and_delays_nobody(size: int) -> None:
    with (
        open_home() as home,
        small_disk(home / "disk", "768m") as disk,
        Postgres(disk, max_wal_size="8MB", min_wal_size="2MB") as server,
    ):
        async with scene(server, size, long(size)) as it:
            async with it.talking():
                fill(disk / "ballast")
                began = monotonic()
                await until(lambda: it.lost_some(began), within=180, every=0.1)
                ended = monotonic()
                (disk / "ballast").unlink()
                server.revive()
            it.nobody_waited(began, ended)
            assert "No space left on device" in server.log()
            await it.losses_are_told()
