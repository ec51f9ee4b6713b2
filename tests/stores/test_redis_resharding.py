"""Slots of a Redis Cluster that move while commands arrive; the moves are those of `redis-cli`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from app.protocol.errors import StoreUnavailable
from app.state.connector import Connector
from app.state.interface import Caps
from app.state.redis import RedisState, Timings
from app.state.scripts import TAKE
from tests.state.conftest import PATIENT, row, running
from tests.support.redis_cluster import RedisCluster
from tests.support.resharding import SlotMove, slots_with_keys
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.state.backend import Backend

AT_ONCE = 8
TWO = Caps(per_subject=2, per_address=1000)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("cluster"), replicas=False) as server:
        yield server


async def with_free_connections(cluster: RedisCluster) -> Backend:
    """A client that has several free connections to every node."""
    backend = Connector(cluster.url).backend(AT_ONCE)
    names = [f"warm{number}" for number in range(60)]
    await asyncio.gather(*(backend.pipeline([("GET", name) for name in names]) for _ in range(8)))
    return backend


async def test_command_reaches_a_key_that_was_moved_before_its_slot(cluster: RedisCluster) -> None:
    """`ASKING` and its command go by one connection, however many are free."""
    backend = await with_free_connections(cluster)
    await backend.execute("SET", "{asked}a", "1")
    move = SlotMove(cluster, key_slot(b"asked"))
    move.begin()
    move.migrate("{asked}a")
    for _ in range(20):
        assert await backend.execute("GET", "{asked}a") == b"1"
        assert await backend.pipeline([("INCR", "{asked}a"), ("DECR", "{asked}a")]) == [2, 1]
    # What did not exist is made where the slot will be.
    assert await backend.execute("SET", "{asked}new", "2")
    assert move.keys() == []
    move.finish()
    assert await backend.execute("MGET", "{asked}a", "{asked}new") == [b"1", b"2"]
    await backend.close()


async def test_script_follows_its_slot_to_a_node_that_does_not_know_it(
    cluster: RedisCluster,
) -> None:
    state = RedisState(cluster.url, "a", prefix="script", timings=PATIENT)
    for number, half_moved in enumerate((True, False)):
        key = f"ticket{number}"
        await state.put_ticket(key, b"payload", 60)
        await state.take_ticket("other" + key)
        move = SlotMove(cluster, key_slot(f"script:{key}".encode()))
        for node in cluster.nodes:
            cluster.ask(node, "SCRIPT", "FLUSH")
        move.begin()
        if half_moved:
            # The keys that do not exist may be on either node: TRYAGAIN until the slot is moved.
            move.migrate(*move.keys())
            taking = asyncio.create_task(state.take_ticket(key))
            await refused_by_target(cluster, move)
            assert not taking.done()
            move.finish()
        else:
            move.migrate_all()
            move.finish()
            taking = asyncio.create_task(state.take_ticket(key))
        assert await taking == b"payload"
        assert cluster.ask(move.target, "SCRIPT", "EXISTS", TAKE.sha)
    await state.close()


async def refused_by_target(cluster: RedisCluster, move: SlotMove) -> None:
    await until(lambda: tried_again(cluster, move))


def tried_again(cluster: RedisCluster, move: SlotMove) -> bool:
    """Whether the target has refused a command for keys that it does not have."""
    errors = cluster.ask(move.target, "INFO", "errorstats")
    return "errorstat_TRYAGAIN" in errors


async def test_replica_shows_that_it_lives_while_its_slot_is_half_moved(
    cluster: RedisCluster,
) -> None:
    """Its mark of life and its marker are on two nodes; the mark must not run out."""
    a = RedisState(cluster.url, "a", prefix="half", timings=Timings(timeout=2.0, alive=0.6))
    b = RedisState(cluster.url, "b", prefix="half", timings=PATIENT)
    move = SlotMove(cluster, key_slot(b"half:r:a"))
    async with running(a), running(b):
        await until(lambda: answers(a))
        await until(lambda: answers(b))
        move.begin()
        move.migrate(a.keys.marker("a"))
        loop = asyncio.get_running_loop()
        end = loop.time() + 1.5  # more than twice as long as a mark lasts
        while loop.time() < end:
            assert await b.alive("a")
        move.migrate_all()
        move.finish()
        assert await b.alive("a")


async def test_replica_shows_that_it_lives_while_the_slot_of_owners_is_half_moved(
    cluster: RedisCluster,
) -> None:
    """The owner's beat waits for its slot, the mark of life does not wait for the owner's beat."""
    a, b = (
        RedisState(cluster.url, name, prefix="beats", timings=Timings(timeout=2.0, alive=0.3))
        for name in "ab"
    )
    move = SlotMove(cluster, key_slot(b"beats:owners"))
    async with running(a), running(b):
        await until(lambda: answers(a))
        await until(lambda: answers(b))
        move.begin()
        loop = asyncio.get_running_loop()
        end = loop.time() + 3.0  # ten times as long as a mark lasts
        while loop.time() < end:
            assert await b.alive("a")
        move.migrate_all()
        move.finish()


async def test_slot_that_stays_open_is_named_and_recovers(cluster: RedisCluster) -> None:
    state = RedisState(cluster.url, "a", prefix="open", timings=Timings(timeout=0.5, alive=0.6))
    move = SlotMove(cluster, key_slot(b"open:owners"))
    async with running(state):
        await until(lambda: answers(state))
        move.begin()

        async def names_it() -> bool:
            try:
                await state.ping()
            except StoreUnavailable as lost:
                return "slot of the Redis Cluster is being moved" in (lost.advice or "")
            return False

        await until(names_it, within=60)
        move.migrate_all()
        move.finish()
        await until(lambda: answers(state), within=60)


async def answers(state: RedisState) -> bool:
    try:
        await state.ping()
        return await state.alive("a")
    except StoreUnavailable:
        return False


async def test_messages_are_read_in_order_while_their_slot_moves(cluster: RedisCluster) -> None:
    """Also those that a blocked XREAD waits for; none is lost or read twice."""
    state = RedisState(cluster.url, "a", prefix="inbox", timings=PATIENT)
    async with running(state), asyncio.timeout(100):
        await until(lambda: answers(state))
        heard: list[int] = []

        async def listen() -> None:
            async for message in state.inbox():
                heard.append(int(message))  # noqa: PERF401 - it is looked at meanwhile

        listening = asyncio.create_task(listen())
        slot = key_slot(b"inbox:r:a")
        moves = asyncio.to_thread(lambda: [SlotMove(cluster, slot).run() for _ in range(4)])
        moving = asyncio.create_task(moves)
        told = 0
        while not moving.done() or told < 20:
            assert await state.tell("a", str(told).encode())
            told += 1
        assert any(await moving)
        await until(lambda: len(heard) >= told, within=60)
        assert heard == list(range(told))
        listening.cancel()


async def test_caps_and_rows_are_whole_after_every_slot_with_keys_has_moved(
    cluster: RedisCluster,
) -> None:
    state = RedisState(cluster.url, "a", prefix="caps", timings=PATIENT)
    async with running(state), asyncio.timeout(100):
        await until(lambda: answers(state))
        rows = [row(f"{n:02x}{n:014x}", subject=f"u{n // 2}") for n in range(30)]
        for each in rows[:20]:
            assert await state.enter(each, TWO) is None
        slots = list(slots_with_keys(cluster))

        def move_all() -> None:
            for slot in slots:
                SlotMove(cluster, slot).run()

        moving = asyncio.create_task(asyncio.to_thread(move_all))
        for each in rows[20:]:
            assert await state.enter(each, TWO) is None
        while not moving.done():
            assert (await state.sessions()).total == 30
            for number in range(10):
                more = row(f"{number:02x}ffffffffffffff", subject=f"u{number}")
                assert await state.enter(more, TWO) == "subject"
        await moving
        for each in rows:
            await state.leave(each)
        assert (await state.sessions()).total == 0
        assert await state.enter(rows[0], TWO) is None
        await state.leave(rows[0])


async def test_moves_cut_no_command_that_waits_for_its_answer(cluster: RedisCluster) -> None:
    """redis-py closes all connections after every fifth MOVED, waiting ones included."""
    backend = await with_free_connections(cluster)
    names = [f"cut{number}" for number in range(8)]
    await backend.pipeline([("SET", name, "1") for name in names])
    waiting = asyncio.create_task(
        backend.execute("XREAD", "BLOCK", 60_000, "STREAMS", "{still}stream", "0-0")
    )
    slots = {key_slot(name.encode()) for name in names} - {key_slot(b"still")}
    await asyncio.to_thread(lambda: [SlotMove(cluster, slot).run() for slot in slots])
    replies = await backend.pipeline([("GET", name) for name in names])
    assert replies == [b"1"] * len(names)
    for name in names:
        assert await backend.execute("GET", name) == b"1"
    await backend.execute("XADD", "{still}stream", "*", "f", "v")
    (stream,) = await waiting
    assert stream[0] == b"{still}stream"
    await backend.close()
