"""Conversations with tools that resume on either replica while something happens to the store."""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from websockets.exceptions import InvalidStatus

from tests.replicas.pair import ReplicaPair, Script, numbered
from tests.support.browser import browser
from tests.support.resharding import SlotMove, close_slots, slots_with_keys
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.gateway import Gateway
    from tests.support.redis_cluster import RedisCluster
    from tests.support.resuming import ResumingBrowser, Story

AT_ONCE = 40
CUT_EVERY = 0.1

MANY = int(os.environ.get("FAILOVER_CONVERSATIONS", "500"))
"""Of the nightly tests: a process for all browsers and two gateways share the machine's cores."""

MANY_TIMEOUT = 1200 + 2 * MANY
"""Seconds for one of them."""

OPENING, DISTURBANCE = 0.3, 200.0
"""Seconds for each conversation to begin, and for what happens when all have begun."""


async def conversations_during(
    it: ReplicaPair,
    disturb: Callable[[Callable[[], bool]], Awaitable[object]],
    *,
    count: int,
    script: Script,
    seed: int,
    cut_every: float = CUT_EVERY,
) -> list[Story]:
    """Hold `count` conversations, cut sockets at random, run `disturb`, and judge them all.

    `disturb` is given a function that says whether all of them still go on: none ends before it has
    returned.
    Each must hear and be heard exactly, with each tool's result, and end by its own script.
    """
    print(f"seed {seed}")
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    before = await live(it)
    may_end = asyncio.Event()  # however slow the machine is, none ends before it was disturbed

    def talker(number: int) -> ResumingBrowser:
        own = random.Random(f"{seed}.{number}")  # noqa: S311 - a test's dice
        base = lambda: own.choice(it.replicas).ws  # noqa: E731
        return numbered(it, f"d{number}", script, base, own, may_end=may_end)

    room = asyncio.Semaphore(AT_ONCE)
    browsers = [talker(number) for number in range(count)]

    async def begin(each: ResumingBrowser) -> asyncio.Task[Story]:
        async with room:
            task = asyncio.create_task(each.run())
            async with asyncio.timeout(120):
                await each.live.wait()
            return task

    began = time.monotonic()
    running = await asyncio.gather(*map(begin, browsers))
    print(f"{count} conversations have begun in {time.monotonic() - began:.0f} s, {load()}")
    assert await live(it) == before + count, "all must be there when it begins"

    async def cut() -> None:
        while True:
            await asyncio.sleep(cut_every)
            socket = dice.choice(browsers).socket
            if socket is not None:
                socket.transport.abort()

    cutting = asyncio.create_task(cut())
    try:
        await disturb(lambda: not any(task.done() for task in running))
        may_end.set()
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        cutting.cancel()
        over = [task.result() for task in running if task.done() and not task.cancelled()]
        print(f"{len(over)} have ended by then: {[(s.code, s.codes, s.error) for s in over[:3]]}")
    stories = list(await asyncio.gather(*running))
    wrong = [fault for story in stories for fault in story.wrong(script.count)]
    assert wrong == [], f"seed {seed}: " + "\n".join(wrong[:20])
    ended = [story for story in stories if not story.whole]
    assert ended == [], f"seed {seed}: {len(ended)} ended otherwise, {ended[:3]}"
    assert await it.violations() == []
    resumes = sum(story.resumes for story in stories)
    texts = sum(len(story.heard) + len(story.echoed) for story in stories)
    print(f"{count} conversations, {texts} texts, {resumes} resumes, {load()}")
    assert resumes > 0
    return stories


def lasting(count: int) -> Script:
    """Conversations that are so slow that all have begun, and all is over, before one ends."""
    texts = 60
    return Script(count=texts, rate=texts / (OPENING * count + DISTURBANCE), texts=texts)


def load() -> str:
    return f"load {os.getloadavg()[0]:.0f}"


async def live(it: ReplicaPair) -> int:
    """How many sessions all replicas together have."""
    answer = await it.backend.get(f"{it.replicas[0].base}/v1/sessions?limit=1")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["total"])


async def move_slots(
    cluster: RedisCluster, goes_on: Callable[[], bool], most: int, seconds: float = 60.0
) -> int:
    """Move slots that hold keys, one after the other, while it goes on; return how many keys.

    At most `most` slots, and no more after `seconds`. A failover that a busy machine causes in the
    midst of a move leaves its slot open: that is mended, and it goes on.
    """
    assert goes_on(), "slots must move while they talk"
    moved, keys, over = 0, 0, time.monotonic() + seconds

    def is_over() -> bool:
        return moved >= most or not goes_on() or (moved > 0 and time.monotonic() > over)

    while not is_over():
        for slot in await asyncio.to_thread(slots_with_keys, cluster):
            try:
                keys += await asyncio.to_thread(_move_slot, cluster, slot)
                moved += 1
            except RedisError as error:
                print(f"slot {slot} stays open: {error}")
                await asyncio.to_thread(close_slots, cluster)
            if is_over():
                break
    print(f"{moved} slots moved with {keys} keys")
    return keys


def _move_slot(cluster: RedisCluster, slot: int) -> int:
    return SlotMove(cluster, slot).run()


async def is_serving(it: ReplicaPair) -> None:
    """Wait until every replica takes sessions again: readiness is seconds old, a refusal is not."""
    for number in range(len(it.replicas)):
        await it.ready(number)
        await _takes_a_session(it.replicas[number])


async def _takes_a_session(replica: Gateway) -> None:
    await until(lambda: takes_a_session(replica), within=60)


async def takes_a_session(replica: Gateway) -> bool:
    """Try a chat; False if it is refused for now, as browsers are told to try again."""
    try:
        async with browser(f"{replica.ws}/ws/echo?call_type=chat", native=True) as user:
            await user.frame("event", "connection")
            assert await user.terminate() == 1000
    except InvalidStatus as refused:
        if refused.response.status_code != 503:
            raise
        return False
    return True
