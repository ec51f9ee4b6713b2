"""Watching a session of replica "a" from replica "b"."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from app.cluster.commands import Watch, decode
from app.cluster.factory import open_bridges, open_live_events
from app.cluster.live_events import Gap, LiveEvents, Publisher
from app.protocol.errors import StoreUnavailable
from app.state.memory import MemoryState
from app.state.redis import RedisState, Timings
from tests.state.conftest import row, running
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.state.interface import State
    from tests.support.redis import RedisServer

TIMINGS = Timings(timeout=3.0, alive=1.5)


def watches_of(state: State) -> LiveEvents:
    watches = open_live_events(state)
    assert watches is not None
    return watches


@asynccontextmanager
async def watched(
    server: RedisServer, prefix: str
) -> AsyncIterator[tuple[LiveEvents, list[Publisher], asyncio.Task[None]]]:
    """The watches of "b", the publishers that "a" is asked for, and the life of "a"."""
    a = RedisState(server.url, "a", prefix=prefix, timings=TIMINGS)
    b = RedisState(server.url, "b", prefix=prefix, timings=TIMINGS)
    owner, watcher = watches_of(a), watches_of(b)
    publishers: list[Publisher] = []

    async def listen() -> None:
        async for message in a.inbox():
            watch = decode(message)
            assert isinstance(watch, Watch)
            publishers.append(owner.publisher(watch))

    async with running(b):
        life = asyncio.create_task(a.run())
        tasks = [life, asyncio.create_task(listen()), asyncio.create_task(owner.run())]
        await until(lambda: b.alive("a"))
        try:
            yield watcher, publishers, life
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for closing in (owner, watcher, a):
                await closing.close()


async def collect(watches: LiveEvents, into: list[bytes | Gap]) -> None:
    async with aclosing(watches.watch(row())) as events:
        async for event in events:
            into.append(event)  # noqa: PERF401 - read while it grows


async def begin(
    watches: LiveEvents, publishers: list[Publisher]
) -> tuple[list[bytes | Gap], asyncio.Task[None]]:
    """Watch, once the owner has been asked; what is seen, and the task that sees it."""
    seen: list[bytes | Gap] = []
    watching = asyncio.create_task(collect(watches, seen))
    await until(lambda: publishers)
    return seen, watching


async def test_events_come_in_order_until_the_session_ends(
    redis_server: RedisServer, prefix: str
) -> None:
    async with watched(redis_server, prefix) as (watches, publishers, _):
        seen, watching = await begin(watches, publishers)
        for number in range(300):
            publishers[0].publish(b"%d" % number)
        await until(lambda: len(seen) == 300)
        publishers[0].publish(b"last")
        publishers[0].close()
        async with asyncio.timeout(20):
            await watching
        assert seen == [*(b"%d" % n for n in range(300)), b"last"]
        await until(lambda: publishers[0].closed)


async def test_lost_events_leave_a_gap_that_is_counted(
    redis_server: RedisServer, prefix: str
) -> None:
    async with watched(redis_server, prefix) as (watches, publishers, _):
        seen, watching = await begin(watches, publishers)
        for _ in range(1000):
            publishers[0].publish(b"x" * 1000)
        publishers[0].publish(b"dropped too")

        async def one_more_arrives() -> bool:
            publishers[0].publish(b"later")
            return b"later" in seen

        await until(one_more_arrives, every=0.05)
        gaps = [event.missed for event in seen if isinstance(event, Gap)]
        whole = seen.count(b"x" * 1000)
        assert 0 < whole < 1000
        assert sum(gaps) >= 1001 - whole
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_publisher_closes_when_nobody_watches(redis_server: RedisServer, prefix: str) -> None:
    async with watched(redis_server, prefix) as (watches, publishers, _):
        _, watching = await begin(watches, publishers)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

        def is_closed() -> bool:
            publishers[0].publish(b"anybody?")
            return publishers[0].closed

        await until(is_closed)


async def test_watch_ends_with_its_owner(redis_server: RedisServer, prefix: str) -> None:
    async with watched(redis_server, prefix) as (watches, publishers, life):
        _, watching = await begin(watches, publishers)
        life.cancel()
        async with asyncio.timeout(20):
            await watching


async def test_watch_of_an_unknown_owner_ends_at_once(
    redis_server: RedisServer, prefix: str
) -> None:
    async with watched(redis_server, prefix) as (watches, _, _):
        events = [event async for event in watches.watch(row(replica="nobody"))]
        assert events == []


async def test_watch_fails_with_the_store(mortal_redis: RedisServer, prefix: str) -> None:
    async with watched(mortal_redis, prefix) as (watches, publishers, _):
        _, watching = await begin(watches, publishers)
        await asyncio.to_thread(mortal_redis.kill)
        async with asyncio.timeout(20):
            with pytest.raises(StoreUnavailable):
                await watching
        publishers[0].publish(b"into nowhere")


def test_one_replica_needs_no_bridges_and_no_watches() -> None:
    state = MemoryState("a")
    assert open_live_events(state) is None
    assert open_bridges(state, "a", reject=lambda *_: None) is None
