"""Two gateways on a Redis Cluster: conversations move between them, and outlive a primary."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.replicas import test_sharing as sharing
from tests.replicas.pair import ReplicaPair, Script, numbered, replica_pair
from tests.support.redis_cluster import RedisCluster
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.resuming import ResumingBrowser

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONVERSATIONS = 30


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
    given = {"auth": "ticket,jwt,open", "jwt_secret": sharing.SECRET, "max_sessions_per_subject": 3}
    async with replica_pair(directory, state_url=store.url, **given) as it:
        yield it


async def test_conversations_are_shared(pair: ReplicaPair) -> None:
    """What `tests/replicas/test_sharing.py` asks of one Redis, a cluster does as well."""
    await sharing.test_browser_resumes_on_the_other_replica_and_back(pair)
    await sharing.test_newest_socket_wins_over_replicas(pair)
    await sharing.test_session_is_watched_and_ended_from_the_other_replica(pair)
    await sharing.test_cap_of_a_subject_counts_over_both_replicas(pair)


async def test_conversations_and_their_tools_go_on_when_a_primary_dies(
    pair: ReplicaPair, store: RedisCluster
) -> None:
    dice = random.Random(7)  # noqa: S311 - no secret
    script = Script(count=60, rate=15.0, texts=20)

    def talker(number: int) -> ResumingBrowser:
        base = pair.replicas[number % 2].ws
        return numbered(pair, f"c{number}", script, lambda: base, dice, agent="counter")

    browsers = [talker(number) for number in range(CONVERSATIONS)]
    running = [asyncio.create_task(each.run()) for each in browsers]
    await until(lambda: pair.backend_sees(CONVERSATIONS), within=60)
    await asyncio.to_thread(store.nodes[0].kill)
    await asyncio.to_thread(store.wait_until_covered)
    stories = await asyncio.gather(*running)
    for story in stories:
        assert story.wrong(script.count) == []
        assert story.whole, story
    assert await pair.violations() == []
    # And new ones begin.
    for number in range(2):
        await pair.ready(number)
    await sharing.test_browser_resumes_on_the_other_replica_and_back(pair)
