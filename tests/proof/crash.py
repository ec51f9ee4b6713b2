"""Replicas behind HAProxy are killed under load (kill -9): browsers are told, and begin anew.

Some are killed at once, each of them one of several that take turns. What HAProxy, Redis and the
other replicas do is as in tests/replicas/test_kill.py, of whose two replicas one is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import TYPE_CHECKING, Final

import httpx

from tests.proof import tested
from tests.proof.failing import attempt
from tests.proof.fleet import Fleet, fleet
from tests.proof.report import Bound, Proof, Result
from tests.replicas.pair import Script, numbered
from tests.replicas.test_kill import LEASE, SLACK, p99
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.resuming import ResumingBrowser

TURNS: Final = 3  # replicas that are killed in turn
AT_ONCE: Final = 8  # kills, in a run that is long enough to start so many replicas
FEW: Final = 3  # kills at once in a shorter one
LONG: Final = 240.0  # seconds
CONVERSATIONS: Final = 72
SCRIPT: Final = Script(count=100_000, rate=5, texts=100_000, tool_every=20)
BACK: Final = "in a new conversation within, p99 in s"
TOLD: Final = "told within, p99 in s"
LIMIT: Final = 3.0  # seconds, p99
ENDING: Final = 20.0  # seconds that the lease of the last one takes
BESIDE: Final = (
    "tests/replicas/test_kill.py::test_caps_of_a_killed_replica_are_free_within_their_lease",
    "tests/history/test_outages.py::test_a_database_that_is_killed_and_restarted_loses_what_is_counted",
)
BESIDE_SECONDS: Final = 60.0  # that a run must leave for these, or they are not run


class Crowd:
    """Conversations that go on until their replica is killed, and then begin anew."""

    def __init__(self, it: Fleet, seed: int, result: Result, tasks: asyncio.TaskGroup) -> None:
        self.it = it
        self._tasks = tasks
        self.result = result
        self.killed: dict[str, float] = {}  # sessions of killed replicas, and when that was
        self.talking: dict[int, ResumingBrowser] = {}
        self.told: list[float] = []
        self.anew: list[float] = []
        self.forgetting: list[asyncio.Task[None]] = []  # of killed replicas' sessions
        self._seed = seed
        self._numbers = itertools.count()

    async def seat(self, place: int) -> None:
        """Talk, as one browser after the other; each begins when the one before was told."""
        killed_at: float | None = None
        while True:
            number = next(self._numbers)
            dice = random.Random(f"{self._seed}.{number}")  # noqa: S311 - to be had again
            user = numbered(self.it, f"k{number}", SCRIPT, self._base, dice, agent="counter")
            self.talking[place] = user
            running = asyncio.create_task(user.run())
            live = asyncio.create_task(user.live.wait())
            try:
                await asyncio.wait((running, live), return_when=asyncio.FIRST_COMPLETED)
                if killed_at is not None and user.live.is_set():
                    self.anew.append(user.story.live_at - killed_at)
                killed_at = await self._lost(user, running)
            finally:
                live.cancel()
                running.cancel()
                await asyncio.wait((running, live))

    def _base(self) -> str:
        return f"ws://127.0.0.1:{self.it.balancer.public}"

    async def _lost(self, user: ResumingBrowser, running: asyncio.Task[object]) -> float:
        """Wait for the end of a conversation, whose replica must have been killed."""
        await running
        story = user.story
        await until(lambda: story.session in self.killed, within=30)
        self.told.append(story.refused_at - story.dialled_at)
        self.result.require(story.code == 4410, f"{story.marker} ended with {story.code}")
        for fault in story.wrong(SCRIPT.count):
            self.result.lose(fault)
        return self.killed[story.session]

    def unmoved(self) -> bool:
        """Whether no conversation of a living replica has lost its socket or its end."""
        mine = [u.story for u in self.talking.values() if u.story.session not in self.killed]
        return all(story.code == 0 and story.resumes == 0 for story in mine)

    async def kill(self, number: int) -> None:
        """Kill a replica, wait until its browsers are in new conversations, and start it again."""
        replica = self.it.replicas[number]
        at = time.monotonic()
        await replica.kill()
        lost = self.it.sessions(number)
        self.killed |= dict.fromkeys(lost, at)
        places = [place for place, u in self.talking.items() if u.story.session in lost]
        self.result.add("kills")
        self.result.add("conversations lost with their replica", len(places))
        forgetting = self._forgotten(lost, at + LEASE + SLACK)
        self.forgetting.append(self._tasks.create_task(forgetting))

        def anew() -> bool:
            now = [self.talking[place] for place in places]
            return all(u.live.is_set() and u.story.session not in lost for u in now)

        await until(anew, within=90)
        self.result.require(self.unmoved(), "a kill was noticed in another replica's conversation")
        await self.it.start(number)

    async def _forgotten(self, lost: set[str], by: float) -> None:
        """See that no replica lists a killed one's sessions any more, once its lease is over."""

        async def forgotten() -> bool:
            try:
                return not lost & {row["id"] for row in await self.it.rows(min(self.it.up))}
            except (httpx.TransportError, ValueError):
                return False  # that one has been killed meanwhile, or HAProxy knows of none

        await until(forgotten, within=by - time.monotonic(), every=1.5)
        self.result.add("times that the registry forgot a killed replica")


async def crash(directory: Path, bound: Bound, result: Result) -> dict[str, float]:
    """Kill until the bound."""
    end = time.monotonic() + bound.left - ENDING
    begun = itertools.count(1)
    at_once = AT_ONCE if bound.seconds >= LONG else FEW
    async with fleet(directory, TURNS * at_once) as it, asyncio.TaskGroup() as tasks:
        crowd = Crowd(it, bound.seed, result, tasks)
        seats = [tasks.create_task(crowd.seat(place)) for place in range(CONVERSATIONS)]
        await until(
            lambda: (
                len(crowd.talking) == CONVERSATIONS
                and all(user.live.is_set() for user in crowd.talking.values())
            ),
            within=90,
        )

        async def turns(first: int) -> None:
            await asyncio.sleep(first)
            for number in itertools.cycle(range(first, TURNS * at_once, at_once)):
                if bound.stopped.is_set() or time.monotonic() > end or next(begun) > bound.count:
                    return
                await crowd.kill(number)

        async with asyncio.TaskGroup() as killing:
            for first in range(at_once):
                killing.create_task(turns(first))
        await asyncio.gather(*crowd.forgetting)
        for seat in seats:
            seat.cancel()
        faults = await it.violations()
        result.require(faults == [], f"the vendor says: {faults[:20]}")
    for name, times in ((TOLD, crowd.told), (BACK, crowd.anew)):
        result.peak(name, p99(times) if times else 0.0)
        result.peak(name.replace("p99", "worst"), max(times, default=0.0))
    return {}


def run(bound: Bound) -> Result:
    """Kill until the bound; then see that caps come free, and that what history has is kept."""
    result = Result(least=("kills", "conversations lost with their replica"))
    beside = BESIDE_SECONDS if bound.seconds >= 2 * BESIDE_SECONDS else 0.0
    part = bound.part(bound.count, bound.left - beside)

    async def killing(directory: Path) -> dict[str, float]:
        return await crash(directory, part, result)

    attempt(killing, result, part.left + 240)
    back = result.done.get(BACK, 0.0)
    result.require(back < LIMIT, f"back within {back:.2f} s (p99), not {LIMIT}")
    if beside:
        tested.run(BESIDE, max(BESIDE_SECONDS, bound.left), result, bound)
    else:
        result.notes.append(f"not run, for want of time: {' '.join(BESIDE)}")
    result.notes.append("gateways are forked off a process that has imported what they need")
    return result


PROOF: Final = Proof(
    "crash",
    "browsers of a killed replica are in a new conversation in under 3 s (p99), its caps are free "
    "within the lease, and history keeps what it acknowledged",
    count=300,
    seconds=420,
    unit="kills",
    run=run,
)
