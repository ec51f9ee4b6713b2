"""Two replicas on one Redis, and one of them dying."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from app.state.interface import Caps
from app.state.redis import RedisState, Timings
from tests.state.conftest import PATIENT, SHORT_LEASE, row, running
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.redis import RedisServer

ROOMY = Caps(per_subject=1000, per_address=1000)
LONG_LIVED = Timings(timeout=5.0, alive=100.0)
"""A mark that was left behind would be there for longer than a test waits."""


@asynccontextmanager
async def pair(
    server: RedisServer, prefix: str, timings: Timings = PATIENT
) -> AsyncIterator[tuple[RedisState, RedisState]]:
    """Replicas "a" and "b", both alive."""
    a = RedisState(server.url, "a", prefix=prefix, timings=timings)
    b = RedisState(server.url, "b", prefix=prefix, timings=timings)
    async with running(a), running(b):

        async def both_live() -> bool:
            return await a.alive("b") and await b.alive("a")

        await until(both_live)
        yield a, b


async def test_100_tickets_and_20_racers_over_two_replicas_make_100_winners(
    redis_server: RedisServer, prefix: str
) -> None:
    async with pair(redis_server, prefix) as (a, b):
        for number in range(100):
            await a.put_ticket(f"t{number}", b"%d" % number, 60)
        racers = asyncio.Semaphore(200)

        async def redeem(number: int, racer: int) -> bytes | None:
            async with racers:
                return await (a, b)[racer % 2].take_ticket(f"t{number}")

        payloads = await asyncio.gather(*(redeem(n, r) for n in range(100) for r in range(20)))
    winners = [payload for payload in payloads if payload is not None]
    assert sorted(winners) == sorted(b"%d" % n for n in range(100))


async def test_caps_hold_under_a_race_over_two_replicas(
    redis_server: RedisServer, prefix: str
) -> None:
    caps = Caps(per_subject=5, per_address=50)
    async with pair(redis_server, prefix) as (a, b):
        answers = await asyncio.gather(
            *((a, b)[n % 2].enter(row(f"s{n}", address=f"a{n}"), caps) for n in range(60))
        )
        assert answers.count(None) == 5
        assert answers.count("subject") == 55
        assert len((await b.sessions()).rows) == 5


async def test_every_replica_sees_every_session(redis_server: RedisServer, prefix: str) -> None:
    async with pair(redis_server, prefix) as (a, b):
        await a.enter(row("s1", replica="a"), ROOMY)
        await b.enter(row("s2", replica="b"), ROOMY)
        assert await b.find("s1") == row("s1", replica="a")
        assert [r.id for r in (await a.sessions()).rows] == ["s1", "s2"]


async def test_revocation_reaches_every_replica(redis_server: RedisServer, prefix: str) -> None:
    async with pair(redis_server, prefix) as (a, b):
        await a.revoke("c", 60)
        assert await b.revoked(["c"]) == {"c"}


async def test_gateways_with_different_prefixes_do_not_meet(
    redis_server: RedisServer, prefix: str
) -> None:
    ours = RedisState(redis_server.url, "a", prefix=prefix, timings=PATIENT)
    theirs = RedisState(redis_server.url, "a", prefix=f"{prefix}x", timings=PATIENT)
    await ours.put_ticket("k", b"1", 60)
    assert await theirs.take_ticket("k") is None
    assert await ours.take_ticket("k") == b"1"
    await ours.close()
    await theirs.close()


async def test_replica_is_told_by_another(redis_server: RedisServer, prefix: str) -> None:
    async with pair(redis_server, prefix) as (a, b):
        assert await a.tell("b", b"hello")
        async with asyncio.timeout(20):
            assert await anext(b.inbox()) == b"hello"


async def test_replica_that_signs_off_is_dead_at_once(
    redis_server: RedisServer, prefix: str
) -> None:
    async with pair(redis_server, prefix) as (a, _):
        c = RedisState(redis_server.url, "c", prefix=prefix, timings=PATIENT)
        async with running(c):
            await until(lambda: a.alive("c"))
        assert await a.alive("c") is False
        assert await a.tell("c", b"hello") is False


async def test_replica_comes_back_under_its_name(redis_server: RedisServer, prefix: str) -> None:
    async with pair(redis_server, prefix) as (a, _):
        for _ in range(2):
            c = RedisState(redis_server.url, "c", prefix=prefix, timings=LONG_LIVED)
            async with running(c):
                await until(lambda: a.alive("c"))
            assert await a.alive("c") is False


async def test_replica_that_dies_is_noticed(redis_server: RedisServer, prefix: str) -> None:
    timings = Timings(timeout=5.0, alive=1.5)
    async with pair(redis_server, prefix, timings) as (a, _):
        c = RedisState(redis_server.url, "c", prefix=prefix, timings=timings)
        life = asyncio.create_task(c.run())
        await until(lambda: a.alive("c"))
        life.cancel()  # it stops without a word, as if killed
        with contextlib.suppress(asyncio.CancelledError):
            await life

        async def is_dead() -> bool:
            return not await a.alive("c")

        await until(is_dead)
        await c.close()


class Mortal:
    """Replica "c"; `die` ends it without a word, as a kill does."""

    def __init__(self, state: RedisState) -> None:
        self.state = state
        self.live()

    def live(self) -> None:
        self._life = asyncio.create_task(self.state.run())

    async def die(self) -> None:
        self._life.cancel()
        await asyncio.gather(self._life, return_exceptions=True)


@asynccontextmanager
async def mortal(server: RedisServer, prefix: str) -> AsyncIterator[Mortal]:
    state = RedisState(server.url, "c", prefix=prefix, timings=SHORT_LEASE)
    it = Mortal(state)
    try:
        yield it
    finally:
        await it.die()
        await state.close()


@asynccontextmanager
async def living_and_mortal(
    server: RedisServer, prefix: str
) -> AsyncIterator[tuple[RedisState, RedisState, Mortal]]:
    """Two replicas that live, and "c", which may die; leases are short."""
    async with pair(server, prefix, SHORT_LEASE) as (a, b), mortal(server, prefix) as c:
        yield a, b, c


async def test_dead_owners_sessions_and_caps_are_free_within_the_lease(
    redis_server: RedisServer, prefix: str
) -> None:
    caps = Caps(per_subject=1, per_address=9)
    async with living_and_mortal(redis_server, prefix) as (_, b, c):
        assert await c.state.enter(row("s1", replica="c"), caps) is None
        assert await b.enter(row("s2"), caps) == "subject"
        await c.die()

        async def is_free() -> bool:
            return await b.enter(row("s2"), caps) is None

        await until(is_free, within=30)
        assert await b.find("s1") is None


async def test_sessions_of_a_living_owner_outlast_the_lease_without_being_refreshed(
    redis_server: RedisServer, prefix: str
) -> None:
    caps = Caps(per_subject=1, per_address=9)
    async with living_and_mortal(redis_server, prefix) as (a, b, c):
        assert await a.enter(row("s1"), caps) is None
        assert await c.state.enter(row("s2", replica="c", subject="bob"), caps) is None
        await c.die()
        # By the time that a dead owner's session is gone, a lease has passed for all of them.
        await until(lambda: _is_gone(b, "s2"), within=30)
        assert await b.find("s1") == row("s1")
        assert await b.enter(row("s3"), caps) == "subject"


async def _is_gone(state: RedisState, session_id: str) -> bool:
    return await state.find(session_id) is None


async def test_everything_of_a_dead_owner_is_swept(redis_server: RedisServer, prefix: str) -> None:
    async with living_and_mortal(redis_server, prefix) as (a, _, c):
        await a.enter(row("kept", subject="s7"), ROOMY)
        rows = [
            row(f"s{n}", replica="c", subject=f"s{n}", tenant="acme" if n % 2 else None)
            for n in range(250)
        ]
        await c.state.refresh(rows)
        assert (await a.sessions()).total == 251
        await c.die()

        async def all_is_gone() -> bool:
            left = redis_server.keys(f"{{{prefix}}}:*")
            return not any(b"#" in name and b":c#" in name for name in left) and not any(
                b"session:s" in name for name in left
            )

        await until(all_is_gone, within=20)
        assert [each.id for each in (await a.sessions()).rows] == ["kept"]
        assert (await a.sessions()).total == 1
        counts = [name for name in redis_server.keys(f"{{{prefix}}}:cap:*") if b"#" not in name]
        assert len(counts) == 2, counts


async def test_owner_that_was_taken_for_dead_registers_its_sessions_anew(
    redis_server: RedisServer, prefix: str
) -> None:
    caps = Caps(per_subject=1, per_address=9)
    async with living_and_mortal(redis_server, prefix) as (_, b, c):
        session = row("s1", replica="c")
        assert await c.state.enter(session, caps) is None
        await c.die()
        await until(lambda: _is_gone(b, "s1"), within=30)
        c.live()
        await c.state.refresh([session])
        assert await b.find("s1") == session
        assert await b.enter(row("s2"), caps) == "subject"
        await c.state.leave(session)
        assert await b.enter(row("s2"), caps) is None


async def test_inbox_is_bounded(redis_server: RedisServer, prefix: str) -> None:
    async with pair(redis_server, prefix) as (a, _):
        for start in range(0, 3000, 100):
            await asyncio.gather(*(a.tell("b", b"%d" % n) for n in range(start, start + 100)))
        length = redis_server.command("XLEN", f"{{{prefix}}}:inbox:b")
        assert 1000 <= int(length[1:]) <= 1200
        assert int(redis_server.command("PTTL", f"{{{prefix}}}:inbox:b")[1:]) > 0


@pytest.mark.parametrize("payload", [b"not json", b"[]", b"{}", b'{"id":"s1"}', b"\xff"])
async def test_unreadable_row_is_no_session(
    redis_server: RedisServer, prefix: str, payload: bytes
) -> None:
    async with pair(redis_server, prefix) as (a, _):
        redis_server.command("SET", f"{{{prefix}}}:session:s1", payload)
        redis_server.command("ZADD", f"{{{prefix}}}:sessions", "0", "s1")
        assert await a.find("s1") is None
        assert (await a.sessions()).rows == ()


async def test_row_of_a_newer_release_is_read(redis_server: RedisServer, prefix: str) -> None:
    async with pair(redis_server, prefix) as (a, b):
        await a.enter(row("s1"), ROOMY)
        raw = redis_server.command("GET", f"{{{prefix}}}:session:s1").split(b"\r\n")[1]
        redis_server.command(
            "SET", f"{{{prefix}}}:session:s1", raw.replace(b"{", b'{"mood":"good",', 1)
        )
        assert await b.find("s1") == row("s1")
