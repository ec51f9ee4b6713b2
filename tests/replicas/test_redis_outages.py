"""Redis stopped, killed and restarted under load: live sessions go on, nothing is let in twice."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
from websockets.asyncio.client import connect

from tests.replicas.pair import ReplicaPair, Script, numbered, replica_pair
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.resuming import Story

QUICK = 0.5
SLACK = 5.0
LOAD = 24
RACERS = 4


@asynccontextmanager
async def load(it: ReplicaPair, seed: int, stories: list[Story]) -> AsyncIterator[None]:
    """Conversations on both replicas, for longer than the block; each ends by its own script."""
    script = Script(count=300, rate=10, texts=60, tool_every=25)
    may_end = asyncio.Event()

    async def one(number: int) -> None:
        url = it.replicas[number % 2].ws
        dice = random.Random(f"{seed}.{number}")  # noqa: S311 - a test\'s dice
        user = numbered(it, f"o{number}", script, lambda: url, dice, may_end=may_end)
        stories.append(await user.run())

    async with asyncio.TaskGroup() as tasks:
        for number in range(LOAD):
            tasks.create_task(one(number))
        await until(lambda: it.backend_sees(LOAD), within=90, every=0.2)
        yield
        assert stories == [], "the outages must happen under load"
        may_end.set()
    assert [fault for story in stories for fault in story.wrong(script.count)] == []
    assert all(story.whole and story.resumes == 0 for story in stories)
    assert await it.violations() == []


class Redeemers:
    """Tries tickets over and over, at both replicas, and counts how often each is accepted."""

    def __init__(self, it: ReplicaPair) -> None:
        self.accepted: dict[str, int] = {}
        self.refusals: list[tuple[float, int]] = []
        self._it = it

    async def mint(self, count: int) -> None:
        """More tickets to try."""
        for _ in range(count):
            self.accepted[(await self._it.mint())["ticket"]] = 0

    async def run(self) -> None:
        """Race until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(RACERS):
                tasks.create_task(self._race(number))

    async def _race(self, number: int) -> None:
        while True:
            for ticket in sorted(self.accepted, key=lambda _: random.random()):  # noqa: S311
                await self.try_one(ticket, number % 2)
                await asyncio.sleep(0.05)

    async def try_one(self, ticket: str, replica: int) -> int:
        """Try it once; return the close code, 0 if it was accepted."""
        at = self._it.replicas[replica]
        begun = time.monotonic()
        async with connect(
            f"{at.ws}/ws?ticket={ticket}",
            proxy=None,
            compression=None,
            open_timeout=30,
            origin=at.base,  # type: ignore[arg-type]
        ) as socket:
            frame = json.loads(await socket.recv())
            if frame["type"] == "error":
                code: int = frame["data"]["code"]
                self.refusals.append((time.monotonic() - begun, code))
                assert frame["data"]["retry"] == ("reconnect" if code == 4503 else "no")
                return code
            self.accepted[ticket] += 1
            await socket.send(json.dumps({"type": "terminate"}))
            return 0


async def _ready(it: ReplicaPair, reason: str | None) -> None:
    """Wait until every replica says that it is ready, or for what reason it is not."""
    for replica in it.replicas:

        async def says(base: str = replica.base) -> bool:
            answer = await it.backend.get(f"{base}/readyz")
            said = answer.json()
            if reason is None:
                return answer.status_code == httpx.codes.OK
            return answer.status_code == 503 and reason in said["reasons"]

        await until(says, within=60, every=0.1)


async def all_refused(redeemers: Redeemers, seen: int) -> None:
    """Wait until so many refusals came after the first `seen` that every racer met one."""
    await until(lambda: sum(code == 4503 for _, code in redeemers.refusals[seen:]) >= RACERS)


async def all_accepted(redeemers: Redeemers, tickets: list[str]) -> None:
    """Wait until each of the tickets was accepted once."""
    await until(lambda: all(redeemers.accepted[ticket] == 1 for ticket in tickets))


async def test_outages_of_redis_cost_no_live_session_and_heal(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    stories: list[Story] = []
    async with replica_pair(tmp_path) as it, load(it, seed, stories), asyncio.TaskGroup() as tasks:
        redeemers = Redeemers(it)
        await redeemers.mint(6)
        racing = tasks.create_task(redeemers.run())
        for begin, end in (
            (it.redis.pause, it.redis.resume),
            (it.redis.kill, it.redis.start),
            (it.redis.stop, it.redis.start),
        ):
            await asyncio.to_thread(begin)
            await _ready(it, "state_lost")
            # An unused ticket is refused for now, soon, and is not called bad.
            seen = len(redeemers.refusals)
            await all_refused(redeemers, seen)
            for replica in it.replicas:
                refused = await it.backend.post(
                    f"{replica.base}/v1/tickets", json={"subject": "nobody"}
                )
                assert refused.status_code == 503
                assert refused.json()["code"] == 4503
            await asyncio.to_thread(end)
            await _ready(it, None)
            await redeemers.mint(4)
            fresh = list(redeemers.accepted)[-4:]
            await all_accepted(redeemers, fresh)
        # What an outage left half done is undone: no ticket is burnt, either.
        await until(lambda: set(redeemers.accepted.values()) == {1}, within=60)
        racing.cancel()
        times = sorted(seconds for seconds, code in redeemers.refusals if code == 4503)
        assert max(redeemers.accepted.values()) == 1
        assert {code for _, code in redeemers.refusals} == {4401, 4503}
        print(
            f"{len(times)} refusals for the lost store: median {times[len(times) // 2]:.3f} s, "
            f"p99 {times[-1 - len(times) // 100]:.3f} s; {sum(redeemers.accepted.values())} of "
            f"{len(redeemers.accepted)} tickets accepted, none twice"
        )
        assert times[len(times) // 2] < QUICK + SLACK
