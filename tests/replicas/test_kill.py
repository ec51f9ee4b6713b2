"""A replica dies at once, under load (kill -9): its browsers learn it soon, and begin anew."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect

from tests.replicas.pair import ReplicaPair, Script, numbered, replica_pair
from tests.support.haproxy import Balancer, balanced, up
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.resuming import ResumingBrowser, Story

# The product's figures, and how much longer they may take on a machine that does other things.
TOLD, ANEW, LEASE = 2.0, 3.0, 15.0
SLACK = 12.0


def p99(times: list[float]) -> float:
    return sorted(times)[max(0, -(-99 * len(times) // 100) - 1)]


async def killed(
    directory: Path, *, kills: int, size: int, seed: int | None = None
) -> dict[str, float]:
    """Kill replicas in turn under `size` conversations; return what was made, by name."""
    seed = secrets.randbits(32) if seed is None else seed
    print(f"seed {seed}")
    told: list[float] = []
    anew: list[float] = []
    async with (
        replica_pair(directory) as it,
        balanced(directory / "haproxy", it.ports) as balancer,
    ):
        for number in range(kills):
            victim = number % 2
            some_told, some_anew = await _one(it, balancer, victim, size, f"{seed}.{number}")
            told += some_told
            anew += some_anew
            await it.start(victim)
            await until(lambda: up(balancer) == [True, True], within=60, every=0.2)
    print(
        f"{kills} kills, {len(told)} conversations lost: told within {max(told):.2f} s of coming "
        f"back (p99 {p99(told):.2f}), in a new one {p99(anew):.2f} s after the kill (p99), "
        f"{sorted(anew)[len(anew) // 2]:.2f} s (median)"
    )
    assert p99(told) < TOLD + SLACK
    assert p99(anew) < ANEW + SLACK
    return {
        "kills": kills,
        "conversations lost with their replica": len(told),
        "told within, p99 in s": p99(told),
        "in a new conversation within, p99 in s": p99(anew),
    }


async def _one(
    it: ReplicaPair, balancer: Balancer, victim: int, size: int, seed: str
) -> tuple[list[float], list[float]]:
    """Kill one replica; return when its browsers were told, and when they had begun anew."""
    base = f"ws://127.0.0.1:{balancer.public}"
    script = Script(count=100_000, rate=20, texts=100_000, tool_every=20)
    anew: list[float] = []
    stories: list[Story] = []
    users: list[ResumingBrowser] = []
    killed_at = 0.0

    async def one(number: int) -> None:
        dice = random.Random(f"{seed}.{number}")  # noqa: S311 - a test\'s dice
        first = numbered(it, f"k{number}", script, lambda: base, dice, agent="counter")
        users.append(first)
        story = await first.run()
        stories.append(story)
        second = numbered(it, f"k{number}+", script, lambda: base, dice, agent="counter")
        running = asyncio.create_task(second.run())
        await second.live.wait()
        anew.append(second.story.live_at - killed_at)
        running.cancel()
        await asyncio.wait([running])

    async with asyncio.TaskGroup() as tasks:
        seats = [tasks.create_task(one(number)) for number in range(size)]
        await until(lambda: len(users) == size and all(u.live.is_set() for u in users), within=90)
        mine = [u for u in users if await it.owner(u.story.session) == victim]
        others = [u for u in users if u not in mine]
        assert mine, "HAProxy spreads conversations over both replicas"
        killed_at = time.monotonic()
        await it.replicas[victim].kill()
        await until(lambda: len(anew) == len(mine), within=90)
        # Those of the other replica have noticed nothing.
        assert all(user.story.code == 0 and user.story.resumes == 0 for user in others)
        lost = {user.story.session for user in mine}

        async def forgotten() -> bool:
            return not lost & {row["id"] for row in await it.rows(1 - victim)}

        await until(forgotten, within=LEASE + SLACK, every=0.5)
        print(f"registry forgot {len(lost)} sessions {time.monotonic() - killed_at:.1f} s after")
        for seat in seats:
            seat.cancel()
    assert [story.code for story in stories] == [4410] * len(mine)
    for story in stories:
        assert story.wrong(script.count) == []
    return [story.refused_at - story.dialled_at for story in stories], anew


async def test_browsers_of_a_killed_replica_begin_anew(tmp_path: Path) -> None:
    await killed(tmp_path, kills=1, size=30)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_20_kills_under_load(tmp_path: Path) -> None:
    await killed(tmp_path, kills=20, size=60)


async def test_caps_of_a_killed_replica_are_free_within_their_lease(tmp_path: Path) -> None:
    async with replica_pair(tmp_path, max_sessions_per_subject=1) as it:
        dead, alive = it.replicas

        async def enters(base: str) -> bool:
            ticket = (await it.mint(alive.base, subject="capped"))["ticket"]
            url = f"{base.replace('http', 'ws', 1)}/ws?ticket={ticket}"
            async with connect(url, proxy=None, origin=alive.base, compression=None) as socket:  # type: ignore[arg-type]
                frame: dict[str, Any] = json.loads(await socket.recv())
                if frame["type"] == "error":
                    assert frame["data"]["code"] == 4429
                    return False
                held.append(frame)
                if base == dead.base:
                    await dead.kill()
                return True

        held: list[dict[str, Any]] = []
        assert await enters(dead.base)
        died = time.monotonic()
        await until(lambda: enters(alive.base), within=LEASE + SLACK, every=0.5)
        print(f"the cap was free {time.monotonic() - died:.1f} s after the kill")
