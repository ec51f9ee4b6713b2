"""What a replica believes of others when a node of the Redis Cluster is lost, not its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from app.protocol.errors import StoreUnavailable
from app.state.interface import Caps, SessionRow
from app.state.keys import SLOTS, Keys
from app.state.redis import RedisState, Timings
from tests.state.conftest import row, running
from tests.support.redis_cluster import PRIMARIES, RedisCluster
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOMY = Caps(per_subject=1000, per_address=1000)
BRIEF = Timings(timeout=1.0, alive=0.6, refill=2.0)
KEYS = Keys("relay", spread=True)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as server:
        yield server


def node_of(key: str) -> int:
    """Which of the first three nodes has a key's slot, before any failover."""
    return int(key_slot(key.encode())) * PRIMARIES // SLOTS


def named_on(node: int) -> str:
    """A replica's name whose marks are on this node."""
    names = (f"r{number}" for number in range(100))
    return next(name for name in names if node_of(KEYS.replica(name)) == node)


async def is_up(state: RedisState, other: str) -> bool:
    try:
        await state.ping()
        return await state.alive(other)
    except StoreUnavailable:
        return False


async def test_row_that_a_restarted_node_has_forgotten_is_not_called_dead(
    cluster: RedisCluster,
) -> None:
    """Its owner registers it again; meanwhile a browser is asked to come again, not to give up."""
    owner, other = named_on(0), named_on(1)
    lost = row("51" * 8, replica=owner)
    assert node_of(KEYS.row(lost.id)) == 0
    a, b = (RedisState(cluster.url, name, timings=BRIEF) for name in (owner, other))
    async with running(a), running(b):
        await until(lambda: is_up(a, other))
        await until(lambda: is_up(b, owner))
        assert await a.enter(lost, ROOMY) is None
        assert await b.find(lost.id) is not None
        await asyncio.to_thread(cluster.nodes[0].kill)
        await asyncio.to_thread(cluster.nodes[0].start)

        async def is_found() -> bool:
            try:
                found = await b.find(lost.id)
            except StoreUnavailable:
                if await is_up(a, other):
                    await publish(a, lost)
                return False
            assert found is not None, "it lives"
            return True

        await until(is_found, within=60)
        await a.leave(lost)


async def test_replica_whose_node_dies_is_not_taken_for_dead(cluster: RedisCluster) -> None:
    """Its mark of life runs out while nobody serves it, and is not there after the promotion."""
    victim, other = named_on(0), named_on(1)
    a, b = (RedisState(cluster.url, name, timings=BRIEF) for name in (victim, other))
    async with running(a), running(b):
        await until(lambda: is_up(a, other))
        await until(lambda: is_up(b, victim))
        said: list[bool] = []
        over = asyncio.Event()

        async def watch() -> None:
            while not (over.is_set() and said):
                try:
                    said.append(await b.alive(victim))
                except StoreUnavailable:
                    await asyncio.sleep(0.01)

        watching = asyncio.create_task(watch())
        await asyncio.to_thread(cluster.nodes[0].kill)
        await asyncio.to_thread(cluster.wait_until_covered)
        await until(lambda: is_up(a, other), within=60)
        await until(lambda: is_up(b, victim), within=60)
        over.set()
        await watching
        assert all(said)
        # One that never was is known to be dead, once nothing is in doubt any more.
        await until(lambda: is_known_to_be_dead(b, "nobody"), within=60)


async def publish(state: RedisState, mine: SessionRow) -> None:
    """Refresh a row, as its owner does from time to time, whether it succeeds or not."""
    with suppress(StoreUnavailable):
        await state.refresh([mine])


async def is_known_to_be_dead(state: RedisState, replica: str) -> bool:
    try:
        return not await state.alive(replica)
    except StoreUnavailable:
        return False
