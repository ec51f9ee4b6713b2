"""Two gateways behind three Sentinels: conversations outlive every way that a primary changes."""

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
)
from tests.replicas.pair import ReplicaPair, Script, replica_pair
from tests.support.sentinel import SERVICE, Watched
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.redis import RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONVERSATIONS = 50
SCRIPT = Script(count=60, rate=15.0, texts=20)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    them = Watched(tmp_path_factory.mktemp("sentinels"), sentinels=3)
    await asyncio.to_thread(them.start)
    yield them
    await asyncio.to_thread(them.stop)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    tmp_path_factory: pytest.TempPathFactory, store: Watched
) -> AsyncIterator[ReplicaPair]:
    directory = tmp_path_factory.mktemp("pair")
    given: dict[str, Any] = {"auth": "ticket,jwt,open", "jwt_secret": sharing.SECRET}
    async with replica_pair(
        directory, state_url=store.url, max_sessions_per_subject=3, **given
    ) as it:
        yield it


async def test_conversations_go_on_when_the_primary_is_demoted_and_when_its_heir_is_killed(
    pair: ReplicaPair, store: Watched
) -> None:
    """SENTINEL FAILOVER leaves the old primary alive, as a replica that refuses writes."""

    async def disturb(goes_on: Callable[[], bool]) -> None:
        assert goes_on(), "it must happen while they talk"
        await changed(store)
        await killed(store)

    await conversations_during(pair, disturb, count=CONVERSATIONS, script=SCRIPT, seed=3)
    await works(pair, store)


@pytest.mark.nightly
@pytest.mark.timeout(MANY_TIMEOUT)
async def test_many_conversations_outlive_four_primaries(tmp_path: Path) -> None:
    them = Watched(tmp_path / "sentinels", sentinels=3)
    await asyncio.to_thread(them.start)
    try:
        async with replica_pair(tmp_path / "pair", state_url=them.url, auth="ticket,open") as it:

            async def disturb(goes_on: Callable[[], bool]) -> None:
                for _ in range(2):
                    await changed(them)
                    dead = await killed(them)
                    await asyncio.to_thread(dead.start)
                    await until(lambda: follows(them), within=60)
                    assert goes_on(), "it must happen while they talk"

            await conversations_during(it, disturb, count=MANY, script=lasting(MANY), seed=2001)
            await is_serving(it)
            await until(lambda: none_left(it), within=60)
    finally:
        await asyncio.to_thread(them.stop)


async def changed(store: Watched) -> None:
    """Have the Sentinels promote the replica, and wait until the other one follows it."""
    old = store.primary()
    await until(lambda: follows(store), within=30)
    await until(lambda: b"OK" in ask_for_failover(store), within=30)
    await until(lambda: b"role:slave" in old.command("INFO", "replication"), within=60)
    await until(lambda: follows(store), within=60)
    await until(lambda: is_left(old), within=30)


async def killed(store: Watched) -> RedisServer:
    """Kill the primary once its replica has everything, and wait for the next one."""
    await until(lambda: follows(store), within=60)
    dead = store.primary()
    await asyncio.to_thread(dead.kill)
    await until(lambda: has_primary(store), within=60)
    return dead


def ask_for_failover(store: Watched) -> bytes:
    return store.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)


def has_primary(store: Watched) -> bool:
    try:
        return store.primary().is_running
    except (AssertionError, OSError):
        return False


def follows(store: Watched) -> bool:
    """Whether one server is the other's replica and has its data."""
    told = [server.command("INFO", "replication") for server in store.servers if server.is_running]
    return sum(b"master_link_status:up" in each for each in told) == 1


async def works(pair: ReplicaPair, store: Watched) -> None:
    """New conversations begin on both replicas, resume on either, and caps hold over both."""
    await is_serving(pair)
    await sharing.test_browser_resumes_on_the_other_replica_and_back(pair)
    await sharing.test_cap_of_a_subject_counts_over_both_replicas(pair)
    clients = store.primary().command("CLIENT", "LIST")
    assert b"blackbox-relay" in clients


def is_left(server: RedisServer) -> bool:
    """Whether no gateway is connected to a demoted server any more."""
    return b"blackbox-relay" not in server.command("CLIENT", "LIST")


async def none_left(it: ReplicaPair) -> bool:
    return await live(it) == 0
