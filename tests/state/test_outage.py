"""Redis frozen, killed, restarted with and without its data."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import pytest

from app.protocol.errors import StoreUnavailable
from app.state.interface import Caps
from app.state.redis import RedisState, Timings
from tests.state.conftest import row, running
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

ROOMY = Caps(per_subject=1000, per_address=1000)
ONE = Caps(per_subject=1, per_address=1)


def every_call(state: RedisState) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "put_ticket": lambda: state.put_ticket("k", b"1", 60),
        "take_ticket": lambda: state.take_ticket("k"),
        "enter": lambda: state.enter(row(), ROOMY),
        "refresh": lambda: state.refresh([row()]),
        "leave": lambda: state.leave(row()),
        "find": lambda: state.find("s1"),
        "sessions": state.sessions,
        "revoke": lambda: state.revoke("c", 60),
        "revoked": lambda: state.revoked(["c"]),
        "tell": lambda: state.tell("a", b"hello"),
        "alive": lambda: state.alive("a"),
        "ping": state.ping,
    }


async def answers(state: RedisState) -> bool:
    try:
        await state.ping()
    except StoreUnavailable:
        return False
    return True


async def seconds_to_fail(call: Callable[[], Awaitable[object]]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(StoreUnavailable):
        await call()
    return loop.time() - began


@pytest.mark.parametrize("outage", ["frozen", "killed"])
async def test_every_call_fails_soon_and_as_state_lost(
    mortal_redis: RedisServer, outage: str
) -> None:
    errors: Counter[str] = Counter()
    state = RedisState(mortal_redis.url, "a", on_error=lambda operation: errors.update([operation]))
    calls = every_call(state)
    for call in calls.values():
        await until(partial(succeeds, call))
    errors.clear()
    if outage == "frozen":
        mortal_redis.pause()
    else:
        mortal_redis.kill()
    took = [await seconds_to_fail(call) for call in calls.values()]
    # The bound is 0.4 s, and less than two of it; a busy machine may stretch a few of them.
    assert median(took) < 0.75
    assert max(took) < 10
    assert errors == Counter(list(calls))
    await state.close()


async def succeeds(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await call()
    except StoreUnavailable:
        return False
    return True


async def test_a_crowd_fails_as_soon_as_one(mortal_redis: RedisServer) -> None:
    state = RedisState(mortal_redis.url, "a", connections=4)
    crowds = []
    for _ in range(3):
        await until(lambda: answers(state))
        mortal_redis.pause()
        asked = (seconds_to_fail(lambda: state.find("s")) for _ in range(100))
        crowds.append(await asyncio.gather(*asked))
        mortal_redis.resume()
    await until(lambda: answers(state))
    await state.close()
    # The bound is 0.4 s; what a busy machine stretches, it stretches for a whole crowd.
    assert min(map(median, crowds)) < 0.75, crowds
    assert max(map(max, crowds)) < 10, crowds


async def test_absent_redis_is_state_lost() -> None:
    state = RedisState(f"redis://127.0.0.1:{free_port()}/0", "a")
    for call in every_call(state).values():
        await seconds_to_fail(call)
    await state.close()


async def test_fault_names_no_address_and_no_credential() -> None:
    port = free_port()
    state = RedisState(f"redis://user:hunter2@127.0.0.1:{port}/0", "a")
    with pytest.raises(StoreUnavailable) as lost:
        await state.ping()
    assert "hunter2" not in str(lost.value)
    assert str(port) not in str(lost.value)
    await state.close()


@pytest.mark.parametrize("outage", ["frozen", "killed"])
async def test_ticket_asked_for_during_an_outage_is_redeemed_once_after_it(
    tmp_path: Path, outage: str
) -> None:
    with RedisServer(tmp_path / "redis", durable=True) as server:
        state = RedisState(server.url, "a", timings=Timings(alive=0.6))
        async with running(state):
            await until(lambda: answers(state))
            for number in range(50):
                await state.put_ticket(f"t{number}", b"1", 300)
            asking = asyncio.gather(
                *(state.take_ticket(f"t{n}", f"first {n}") for n in range(50)),
                return_exceptions=True,
            )
            if outage == "frozen":
                server.pause()
            else:
                await asyncio.sleep(0)
                server.kill()
            asked = await asking
            await (asyncio.sleep(0) if outage == "frozen" else asyncio.to_thread(server.start))
            server.resume()
            lost = {n for n, answer in enumerate(asked) if isinstance(answer, StoreUnavailable)}
            assert lost, "the outage came while they were asked for"
            for number in lost:

                async def redeemed(number: int = number) -> bool:
                    try:
                        return await state.take_ticket(f"t{number}") == b"1"
                    except StoreUnavailable:
                        return False

                await until(redeemed)
            for number in range(50):
                assert await state.take_ticket(f"t{number}") is None


async def test_session_whose_registration_was_lost_holds_no_cap(mortal_redis: RedisServer) -> None:
    state = RedisState(mortal_redis.url, "a", timings=Timings(alive=0.6, lease=300))
    async with running(state):
        await until(lambda: answers(state))
        await until(lambda: succeeds(lambda: state.enter(row("s0"), Caps(2, 9))))
        mortal_redis.pause()
        with pytest.raises(StoreUnavailable):
            await state.enter(row("s1"), Caps(2, 9))
        mortal_redis.resume()

        async def entered() -> bool:
            try:
                return await state.enter(row("s2"), Caps(2, 9)) is None
            except StoreUnavailable:
                return False

        await until(entered)

        async def forgotten() -> bool:
            with contextlib.suppress(StoreUnavailable):  # while the registry is filled again
                return await state.find("s1") is None
            return False

        await until(forgotten)


@pytest.mark.parametrize("keeps_data", [True, False])
async def test_live_sessions_and_caps_come_back_after_a_restart(
    tmp_path: Path, keeps_data: bool
) -> None:
    server = RedisServer(tmp_path / "redis", durable=keeps_data)
    timings = Timings(timeout=2.0)
    with server:
        state = RedisState(server.url, "a", timings=timings)
        async with running(state):
            await until(lambda: succeeds(lambda: state.enter(row("s1"), ONE)))
            await state.put_ticket("k", b"1", 600)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await until(lambda: succeeds(lambda: state.refresh([row("s1")])))
            assert await state.find("s1") == row("s1")
            assert await state.enter(row("s2"), ONE) == "subject"
            assert await state.take_ticket("k") == (b"1" if keeps_data else None)


async def test_missing_session_is_no_proof_until_owners_have_reported_again(
    mortal_redis: RedisServer,
) -> None:
    state = RedisState(mortal_redis.url, "b", timings=Timings(timeout=2.0, refill=3.0))
    async with running(state):

        async def knows_nobody() -> bool:
            try:
                return await state.find("s1") is None
            except StoreUnavailable:
                return False

        await until(lambda: answers(state))
        await until(lambda: succeeds(lambda: state.refresh([row("s1", replica="a")])))
        await until(lambda: state.alive("b"))
        await asyncio.to_thread(mortal_redis.kill)
        await asyncio.to_thread(mortal_redis.start)
        with pytest.raises(StoreUnavailable):
            await state.find("s1")
        with pytest.raises(StoreUnavailable):
            await state.alive("a")
        await until(knows_nobody)
        assert await state.alive("a") is False


@contextlib.asynccontextmanager
async def heard_by(state: RedisState) -> AsyncIterator[asyncio.Queue[bytes]]:
    """What comes to this replica's inbox, read for the time of a block."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen() -> None:
        async for message in state.inbox():
            heard.put_nowait(message)

    listening = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_inbox_survives_an_outage(mortal_redis: RedisServer) -> None:
    state = RedisState(mortal_redis.url, "a", timings=Timings(timeout=2.0))
    async with running(state), heard_by(state) as heard, asyncio.timeout(60):

        async def told(message: bytes) -> bool:
            try:
                return await state.tell("a", message)
            except StoreUnavailable:
                return False

        await until(lambda: told(b"before"))
        assert await heard.get() == b"before"
        await asyncio.to_thread(mortal_redis.kill)
        await asyncio.to_thread(mortal_redis.start)
        await until(lambda: told(b"after a restart"))
        assert await heard.get() == b"after a restart"
        mortal_redis.pause()
        assert not await told(b"lost")
        mortal_redis.resume()
        await until(lambda: told(b"after a freeze"))
        while await heard.get() != b"after a freeze":  # "lost" may have been told after all
            pass


async def test_inbox_reads_on_when_the_clock_of_redis_went_back(mortal_redis: RedisServer) -> None:
    state = RedisState(mortal_redis.url, "a", timings=Timings(timeout=2.0))
    async with running(state), heard_by(state) as heard, asyncio.timeout(60):
        # A message of a server whose clock is far ahead, then a younger server with a true one.
        mortal_redis.command("XADD", "{relay}:inbox:a", "99999999999999-0", "m", "from tomorrow")
        assert await heard.get() == b"from tomorrow"
        await asyncio.to_thread(mortal_redis.kill)
        await asyncio.to_thread(mortal_redis.start)

        async def told() -> bool:
            try:
                return await state.tell("a", b"from today")
            except StoreUnavailable:
                return False

        await until(told)
        assert await heard.get() == b"from today"


async def test_cancellation_is_never_swallowed(mortal_redis: RedisServer) -> None:
    state = RedisState(mortal_redis.url, "a", connections=2, timings=Timings(timeout=10.0))

    async def forever() -> None:
        while True:
            await state.ping()
            await state.revoked(["c"])
            await state.refresh([row()])

    for turns in range(300):
        task = asyncio.create_task(forever())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=30)
        assert done, f"cancelled after {turns} turns, it goes on"
        assert task.cancelled()
    await state.ping()
    await state.close()
