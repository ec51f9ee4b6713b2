"""Browsers on B, their conversations on A, and what is between them breaks: all counts stay exact.

Each browser begins on A, is cut, and goes on through B; then the bridge breaks. Whatever was on
its way, in either direction, comes once, or the conversation ends with 4410: never a gap, never
a double.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.replicas.pair import ReplicaPair, Script, numbered, replica_pair
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from tests.support.resuming import ResumingBrowser, Story

BROWSERS = 12
SCRIPT = Script(count=300, rate=12, texts=150, tool_every=20)
A, B = 0, 1
# Longer than an end of a bridge believes a silent other end, and shorter than the resume window.
BELIEVED = 4.0


async def redis_freezes(it: ReplicaPair) -> None:
    it.redis.pause()
    await asyncio.sleep(1.5 * BELIEVED)
    it.redis.resume()


async def redis_hiccups(it: ReplicaPair) -> None:
    for _ in range(4):
        it.redis.pause()
        await asyncio.sleep(BELIEVED / 8)
        it.redis.resume()
        await asyncio.sleep(BELIEVED / 8)


async def redis_dies(it: ReplicaPair) -> None:
    await asyncio.to_thread(it.redis.kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(it.redis.start)


async def redis_loses_its_data(it: ReplicaPair) -> None:
    await asyncio.to_thread(it.redis.kill)
    await asyncio.to_thread(it.redis.wipe)
    await asyncio.to_thread(it.redis.start)


async def b_dies(it: ReplicaPair) -> None:
    await it.replicas[B].kill()


async def broken(
    directory: Path, breaks: Callable[[ReplicaPair], Coroutine[None, None, None]], *, cuts: int = 0
) -> None:
    """Bridge all browsers, break what is between, and let every conversation come to its end."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    stories: list[Story] = []
    users: list[ResumingBrowser] = []
    place = A
    may_end = asyncio.Event()
    async with replica_pair(directory) as it:

        async def one(number: int) -> None:
            dice = random.Random(f"{seed}.{number}")  # noqa: S311 - a test's dice
            base = lambda: it.replicas[place].ws  # noqa: E731
            user = numbered(it, f"b{number}", SCRIPT, base, dice, may_end=may_end)
            users.append(user)
            stories.append(await user.run())

        async with asyncio.TaskGroup() as tasks:
            for number in range(BROWSERS):
                tasks.create_task(one(number))
            await until(
                lambda: len(users) == BROWSERS and all(u.live.is_set() for u in users), within=90
            )
            place = B
            await cut(users)
            for _ in range(cuts):
                await cut(users)
            assert stories == [], "it must break while they talk"
            resumes = sum(user.story.resumes for user in users)
            place = A if breaks is b_dies else B
            await breaks(it)
            assert stories == [], "and be mended while they talk"
            may_end.set()
        wrong = [fault for story in stories for fault in story.wrong(SCRIPT.count)]
        print(
            f"{breaks.__name__}: ended with {dict(Counter(story.code for story in stories))}, "
            f"{sum(user.story.resumes for user in users) - resumes} resumes after the break, "
            f"{sum(len(story.heard) for story in stories)} numbers heard, {len(wrong)} faults"
        )
        assert wrong == [], f"seed {seed}: " + "\n".join(wrong[:20])
        assert [story.code for story in stories if not story.whole] == []
        assert await it.violations() == []
        for story in stories:
            assert story.heard == list(range(1, SCRIPT.count + 1))
            assert story.result is not None
            agent = story.result["user"]
            assert (agent["received"], agent["highest"]) == (SCRIPT.texts, SCRIPT.texts)


async def cut(users: list[ResumingBrowser]) -> None:
    """Cut every socket, and wait until each browser is back and has heard something new."""
    before = [(user.story.resumes, len(user.story.heard)) for user in users]
    for user in users:
        if user.socket is not None:
            user.socket.transport.abort()

    def back() -> bool:
        now = [(user.story.resumes, len(user.story.heard)) for user in users]
        pairs = zip(now, before, strict=True)
        return all(new[0] > old[0] and new[1] > old[1] for new, old in pairs)

    await until(back, within=90)


@pytest.mark.parametrize("breaks", [redis_freezes, redis_dies, b_dies])
async def test_broken_bridge_loses_and_doubles_nothing(
    tmp_path: Path, breaks: Callable[[ReplicaPair], Coroutine[None, None, None]]
) -> None:
    await broken(tmp_path, breaks)


@pytest.mark.nightly
@pytest.mark.parametrize("breaks", [redis_hiccups, redis_loses_its_data])
async def test_rarer_breaks_lose_and_double_nothing(
    tmp_path: Path, breaks: Callable[[ReplicaPair], Coroutine[None, None, None]]
) -> None:
    await broken(tmp_path, breaks, cuts=3)
