"""Two gateways on a Redis Cluster: conversations move between them, and outlive what it does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.replicas import test_sharing as sharing
from tests.replicas.disturbed import (
    MANY,
    MANY_TIMEOUT,
    conversations_during,
    is_serving,
    lasting,
    live,
    move_slots,
)
from tests.replicas.pair import ReplicaPair, Script, replica_pair
from tests.support.redis_cluster import RedisCluster
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONVERSATIONS = 50
SCRIPT = Script(count=60, rate=15.0, texts=20)
SLOTS = 40
MOVES = 500
PATIENT = {"cluster-node-timeout": "5000"}
"""On a busy machine nodes stand still for seconds, and are not to be replaced for that."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisCluster]:
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    await asyncio.to_thread(cluster.start)
    yield cluster
    cluster.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    tmp_path_factory: pytest.TempPathFactory, store: RedisCluster
) -> AsyncIterator[ReplicaPair]:
    directory = tmp_path_factory.mktemp("pair")
    given: dict[str, Any] = {"auth": "ticket,jwt,open", "jwt_secret": sharing.SECRET}
    async with replica_pair(
        directory, state_url=store.url, max_sessions_per_subject=3, **given
    ) as it:
        yield it


async def test_conversations_are_shared(pair: ReplicaPair) -> None:
    """What `tests/replicas/test_sharing.py` asks of one Redis, a cluster does as well."""
    await sharing.test_browser_resumes_on_the_other_replica_and_back(pair)
    await sharing.test_newest_socket_wins_over_replicas(pair)
    await sharing.test_session_is_watched_and_ended_from_the_other_replica(pair)
    await sharing.test_cap_of_a_subject_counts_over_both_replicas(pair)


async def test_conversations_go_on_while_slots_move(pair: ReplicaPair, store: RedisCluster) -> None:
    async def move(goes_on: Callable[[], bool]) -> None:
        assert await move_slots(store, goes_on, most=SLOTS) > 0

    await conversations_during(pair, move, count=CONVERSATIONS, script=SCRIPT, seed=11)


async def test_conversations_and_their_tools_go_on_when_a_primary_dies(
    pair: ReplicaPair, store: RedisCluster
) -> None:
    async def kill(goes_on: Callable[[], bool]) -> None:
        await asyncio.to_thread(store.primaries()[0].kill)
        assert goes_on(), "it must die while they talk"
        await asyncio.to_thread(store.wait_until_covered)

    await conversations_during(pair, kill, count=CONVERSATIONS, script=SCRIPT, seed=7)
    # And new ones begin.
    await is_serving(pair)
    await sharing.test_browser_resumes_on_the_other_replica_and_back(pair)
    await sharing.test_cap_of_a_subject_counts_over_both_replicas(pair)


@pytest.mark.nightly
@pytest.mark.timeout(MANY_TIMEOUT)
async def test_many_conversations_outlive_slots_that_move_and_primaries_that_die(
    tmp_path: Path,
) -> None:
    """A primary dies while slots move; it comes back as a replica, and its heir dies."""
    with RedisCluster(tmp_path / "cluster", settings=PATIENT) as cluster:

        async def disturb(goes_on: Callable[[], bool]) -> None:
            for _ in range(2):
                await move_slots(cluster, goes_on, most=MOVES)
                dead = cluster.primaries()[0]
                await asyncio.to_thread(dead.kill)
                assert goes_on(), "it must die while they talk"
                await asyncio.to_thread(cluster.wait_until_covered)
                await asyncio.to_thread(dead.start)
                await asyncio.to_thread(cluster.wait_until_replicated)

        async with replica_pair(tmp_path / "pair", state_url=cluster.url, auth="ticket,open") as it:
            await conversations_during(it, disturb, count=MANY, script=lasting(MANY), seed=2000)
            await is_serving(it)
            await until(lambda: none_left(it), within=60)


async def none_left(it: ReplicaPair) -> bool:
    return await live(it) == 0
