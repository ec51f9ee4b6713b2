"""A Redis Cluster: a primary that dies, messages and bridges between replicas, wrong URLs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.cluster.commands import EndSession, encode
from app.protocol.errors import ConfigurationError, StoreUnavailable
from app.state.address import Kind, parse
from app.state.factory import open_state
from app.state.interface import Caps
from app.state.keys import SHARDS, SLOTS, Keys, slot_of
from app.state.places import PlaceBounds, PlaceChanges, Waiter
from app.state.redis import RedisState, Timings
from tests.state.conftest import PATIENT, row, running
from tests.support.redis import RedisServer
from tests.support.redis_cluster import RedisCluster
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SESSIONS = 100
TWO = Caps(per_subject=2, per_address=1000)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as server:
        yield server


def session_id(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}"


async def ready(state: RedisState) -> bool:
    try:
        await state.ping()
        await state.alive("a")
    except StoreUnavailable:
        return False
    return True


async def test_place_of_another_replica_is_told_to_it(cluster: RedisCluster) -> None:
    """The table of places and the inboxes are in different slots."""
    a = RedisState(cluster.url, "a", prefix="places", timings=PATIENT)
    b = RedisState(cluster.url, "b", prefix="places", timings=PATIENT)
    async with running(a), running(b), asyncio.timeout(60):
        await until(lambda: b.alive("a"))
        bounds = PlaceBounds(limit=1, queue=5)
        await b.synchronize_places(bounds, PlaceChanges(wait=[Waiter("first")]))
        report = await a.synchronize_places(bounds, PlaceChanges(wait=[Waiter("second")]))
        assert report.waiting == 1
        wake = encode(EndSession("woken"))
        await b.synchronize_places(bounds, PlaceChanges(release=["first"], wake=wake))
        assert await anext(a.inbox()) == wake


async def test_sessions_and_caps_outlive_a_primary(tmp_path: Path) -> None:
    with RedisCluster(tmp_path / "cluster") as cluster:
        state = RedisState(cluster.url, "a", timings=Timings(timeout=2.0, refill=1.0))
        rows = [row(session_id(n), subject=f"u{n // 2}") for n in range(SESSIONS)]
        async with running(state):
            await until(lambda: ready(state))
            for each in rows:
                assert await state.enter(each, TWO) is None
            dead = cluster.nodes[1]
            await asyncio.to_thread(dead.kill)
            await asyncio.to_thread(cluster.wait_until_covered)

            async def is_whole() -> bool:
                try:
                    await state.refresh(rows)
                    return (await state.sessions()).total == SESSIONS
                except StoreUnavailable:
                    return False

            await until(is_whole, within=60)
            await until(lambda: ready(state), within=60)
            for number in range(SESSIONS // 2):
                more = row(session_id(SESSIONS + number), subject=f"u{number}")
                assert await state.enter(more, TWO) == "subject"
            for each in rows:
                await state.leave(each)
            assert (await state.sessions()).total == 0
            assert await state.enter(row(session_id(0), subject="u0"), TWO) is None


def test_shards_are_spread_evenly_and_in_the_order_of_ids() -> None:
    keys = Keys("relay", spread=True)
    slots = [slot_of(keys.index(shard)[1:].partition("}")[0]) for shard in range(SHARDS)]
    assert [slot * SHARDS // SLOTS for slot in slots] == list(range(SHARDS))
    ids = sorted(session_id(number) for number in range(1000))
    shards = [keys.shard(each) for each in ids]
    assert shards == sorted(shards)
    assert set(shards) == set(range(SHARDS))
    for shard in range(1, SHARDS):
        assert keys.shard(keys.first_of(shard)) == shard


def test_cluster_url_is_read_whole() -> None:
    address = parse("rediss+cluster://us%40er:p%2Fw@a:1,[::1]:2,c?ssl_cert_reqs=none")
    assert address.kind is Kind.CLUSTER
    assert address.nodes == (("a", 1), ("::1", 2), ("c", 6379))
    assert address.url == "rediss://us%40er:p%2Fw@cluster?ssl_cert_reqs=none"


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster://canary:port",
        "redis+cluster://canary:1,",
        "redis+cluster://canary:1/3",
        "redis+cluster://canary:1?canary=1",
    ],
)
def test_url_that_names_no_cluster_is_refused_without_its_contents(url: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        open_state(url, "a")
    assert wrong.value.faults[0].startswith("RELAY_STATE_URL ")
    assert "canary" not in wrong.value.faults[0]


async def advice_of(url: str) -> str | None:
    """What a replica that runs says of its store."""
    state = RedisState(url, "a", timings=Timings(timeout=2.0, alive=0.6))
    found: list[str | None] = []

    async def is_unready() -> bool:
        try:
            await state.ping()
        except StoreUnavailable as lost:
            found.append(lost.advice)
            return lost.advice is not None
        return False

    async with running(state):
        await until(is_unready, within=60)
    return found[-1]


async def test_mode_that_the_server_does_not_speak_is_said(
    cluster: RedisCluster, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "single") as single:
        url = f"redis+cluster://127.0.0.1:{single.port}"
        assert "no Redis Cluster" in (await advice_of(url) or "")
    nodes = [node.url for node in cluster.nodes[:3]]
    keys = Keys("relay")
    owner = slot_of("relay") * 3 // SLOTS
    assert keys.replica("a").startswith("{relay}")
    assert "redis+cluster://" in (await advice_of(nodes[(owner + 1) % 3]) or "")


async def test_slot_that_no_node_serves_is_said(tmp_path: Path) -> None:
    with RedisCluster(tmp_path / "cluster", replicas=False) as server:
        server.ask(server.nodes[0], "CLUSTER", "DELSLOTS", 5)
        assert "slots that no node serves" in (await advice_of(server.url) or "")
