"""A replica that stands still is not taken for dead before its lease is over, where nodes fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.cluster.owner_message import tell_owner
from app.protocol.errors import StoreUnavailable
from app.state.interface import Caps
from app.state.redis import RedisState, Timings
from tests.state.conftest import row, running
from tests.support.redis_cluster import RedisCluster
from tests.support.sentinel import Watched
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

ROOMY = Caps(per_subject=1000, per_address=1000)
LONG_LEASE = Timings(timeout=5.0, alive=0.3, lease=120.0, refill=0.5)
SHORT_LEASE = Timings(timeout=5.0, alive=0.3, lease=2.0, refill=0.5)


@pytest.fixture(scope="module", params=["cluster", "sentinel"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store whose servers may be lost one by one."""
    directory = tmp_path_factory.mktemp("store")
    if request.param == "cluster":
        with RedisCluster(directory, replicas=False) as server:
            yield server.url
        return
    watched = Watched(directory, sentinels=1)
    watched.start()
    yield watched.url
    watched.stop()


async def verdicts(asker: RedisState, replica: str) -> AsyncIterator[bool | None]:
    """What is said of a replica, again and again; None while that is unknown."""
    while True:
        try:
            yield await asker.alive(replica)
        except StoreUnavailable:
            yield None


async def is_up(state: RedisState, other: str) -> bool:
    try:
        return await state.alive(other)
    except StoreUnavailable:
        return False


async def test_replica_that_stands_still_is_in_doubt_and_comes_back(url: str) -> None:
    """Its mark of life is gone for many lifetimes: what needs it fails, and may be tried again."""
    a, b = (RedisState(url, each, prefix="still", timings=LONG_LEASE) for each in "ab")
    held = row("51" * 8, replica="a")
    beating = asyncio.create_task(a.run())
    async with running(b):
        await until(lambda: is_up(b, "a"), within=30)
        assert await a.enter(held, ROOMY) is None
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        said: list[bool | None] = []
        async with asyncio.timeout(60):
            async for each in verdicts(b, "a"):
                said.append(each)
                if each is False or said[-3:] == [None] * 3:
                    break
        assert False not in said
        with pytest.raises(StoreUnavailable):
            await tell_owner(b, held, b"hello")
        assert await b.find(held.id) is not None
        async with running(a):
            await until(lambda: is_up(b, "a"), within=30)
            assert await tell_owner(b, held, b"hello")
            await a.leave(held)


async def test_replica_is_dead_when_its_lease_is_over(url: str) -> None:
    a, b = (RedisState(url, each, prefix="over", timings=SHORT_LEASE) for each in "ab")
    beating = asyncio.create_task(a.run())
    async with running(b), asyncio.timeout(60):
        await until(lambda: is_up(b, "a"), within=30)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        async for each in verdicts(b, "a"):
            if each is False:
                break
        assert not await tell_owner(b, row("52" * 8, replica="a"), b"hello")
    await a.close()


async def test_replica_that_has_signed_off_is_dead_at_once(url: str) -> None:
    a, b = (RedisState(url, each, prefix="off", timings=LONG_LEASE) for each in "ab")
    async with running(b):
        async with running(a):
            await until(lambda: is_up(b, "a"), within=30)
        assert await b.alive("a") is False
