"""The concurrency limit, and the deadline that tells the store's silence from our own delay."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import uvloop

from app.protocol.errors import StoreUnavailable
from app.state import concurrency_limit
from app.state.concurrency_limit import ConcurrencyLimit
from app.state.deadline import Deadline
from app.state.redis import RedisState, Timings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.redis import RedisServer


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_waits_comes_in_by_order() -> None:
    queue, came = ConcurrencyLimit(2), list[int]()

    async def come(number: int) -> None:
        await queue.acquire()
        came.append(number)

    tasks = [asyncio.create_task(come(number)) for number in range(5)]
    await settle()
    assert came == [0, 1]
    queue.release()
    await settle()
    assert came == [0, 1, 2]
    for _ in range(4):
        queue.release()
    await asyncio.gather(*tasks)
    assert came == [0, 1, 2, 3, 4]


async def test_place_is_not_lost_with_who_was_cancelled_while_it_came() -> None:
    queue = ConcurrencyLimit(1)
    await queue.acquire()
    first, second = (asyncio.create_task(queue.acquire()) for _ in range(2))
    await settle()
    queue.release()
    first.cancel()
    async with asyncio.timeout(20):
        await second
    assert first.cancelled()


async def test_everybody_who_waits_is_turned_away_and_who_comes_later_is_not() -> None:
    queue = ConcurrencyLimit(1)
    await queue.acquire()
    tasks = [asyncio.create_task(queue.acquire()) for _ in range(3)]
    await settle()
    queue.reject_waiters()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [TimeoutError] * 3
    queue.release()
    await queue.acquire()


async def test_line_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency_limit, "MAX_WAITERS", 2)
    queue = ConcurrencyLimit(0)
    waiting = [asyncio.create_task(queue.acquire()) for _ in range(2)]
    await settle()
    with pytest.raises(TimeoutError):
        await queue.acquire()
    queue.reject_waiters()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_silence_ends_the_block_and_answers_to_others_put_it_off() -> None:
    answers = 0
    loop = asyncio.get_running_loop()
    until = loop.time() + 0.5

    def answered() -> int:
        nonlocal answers
        answers += loop.time() < until  # it answers for a while, then no more
        return answers

    deadline = Deadline(0.2, answered)
    with pytest.raises(TimeoutError):
        async with deadline:
            await asyncio.Event().wait()
    assert deadline.silent
    assert loop.time() >= until + 0.18


async def test_busy_store_is_not_waited_for_without_end() -> None:
    turns = 0

    def answered() -> int:
        nonlocal turns
        turns += 1
        return turns

    deadline = Deadline(0.02, answered)
    with pytest.raises(TimeoutError):
        async with deadline:
            await asyncio.Event().wait()
    assert not deadline.silent


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_answer_that_lay_there_while_the_loop_was_late_is_taken(
    redis_server: RedisServer, prefix: str, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def late() -> None:
        state = RedisState(redis_server.url, "a", prefix=prefix, timings=Timings(timeout=0.2))
        for _ in range(3):  # the first opens the connections that the others take
            asked = asyncio.gather(*(state.ping() for _ in range(3)))
            await asyncio.sleep(0)
            for _ in range(8):
                time.sleep(0.21)  # noqa: ASYNC251 - the delay that is meant
                await asyncio.sleep(0)
                if asked.done():
                    break
            await asked
        await state.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(late())


async def test_crowd_is_no_outage(redis_server: RedisServer, prefix: str) -> None:
    state = RedisState(redis_server.url, "a", prefix=prefix, connections=2)
    crowd = asyncio.gather(*(state.find("s1") for _ in range(5000)), return_exceptions=True)
    await asyncio.sleep(0)
    await state.ping()
    assert not crowd.done(), "a heartbeat does not wait for the limit"
    assert [end for end in await crowd if isinstance(end, StoreUnavailable)] == []
    await state.close()
