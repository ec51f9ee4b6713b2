"""Replicas behind HAProxy are restarted, half of them at once, under conversations with tools.

Each is told to end (SIGTERM), drains, exits with 0 and is started again on its port; HAProxy, as
deploy/ configures it, leaves it out meanwhile. A third of the browsers is on a network that breaks.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from signal import SIGTERM
from typing import TYPE_CHECKING, Final

from tests.proof.failing import attempt
from tests.proof.fleet import Fleet, fleet
from tests.proof.report import Bound, Proof, Result
from tests.replicas.pair import Script, crowd, numbered
from tests.support.cutting import cutting_proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.resuming import ResumingBrowser

REPLICAS: Final = 32  # in a run that is long enough to start so many
FEW: Final = 8  # replicas of a shorter one
LONG: Final = 240.0  # seconds
CONVERSATIONS: Final = 64
SCRIPT: Final = Script(count=24, rate=6, texts=12, tool_every=8)
DELAY: Final = 3  # seconds that a replica goes on taking sessions: HAProxy looks every second
ONE: Final = 110.0  # seconds that the end of a replica may take
ENDING: Final = 14.0  # seconds that a restart takes, and conversations to end in peace


async def roll(directory: Path, bound: Bound, result: Result) -> dict[str, float]:
    """Restart until the bound; then let what runs end, and look at every conversation."""
    end, longest = time.monotonic() + bound.left, ENDING
    over = asyncio.Event()
    half = (REPLICAS if bound.seconds >= LONG else FEW) // 2
    async with (
        fleet(directory, 2 * half, drain_delay=DELAY, drain_timeout=90) as it,
        cutting_proxy([it.balancer.public], bound.seed, up=20_000, down=40_000) as phones,
    ):

        def begin(number: int) -> ResumingBrowser:
            port = phones.port if number % 3 == 0 else it.balancer.public
            dice = random.Random(f"{bound.seed}.{number}")  # noqa: S311 - to be had again
            return numbered(it, f"r{number}", SCRIPT, lambda: f"ws://127.0.0.1:{port}", dice)

        async def release(first: int) -> None:
            """Restart two replicas in turn: one of them serves."""
            nonlocal longest
            await asyncio.sleep(DELAY * first / half)
            for number in itertools.cycle((first, first + half)):
                begun = result.done.get("restarts begun", 0)
                now = time.monotonic()
                if begun >= bound.count or bound.stopped.is_set() or now + longest > end:
                    return
                result.add("restarts begun")
                await _restart(it, number)
                longest = max(longest, time.monotonic() - now)
                result.add("restarts")

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(crowd(CONVERSATIONS, begin, lambda _: not over.is_set()))
            async with asyncio.TaskGroup() as releases:
                for first in range(half):
                    releases.create_task(release(first))
            over.set()
        stories = running.result()
        codes = Counter(story.code for story in stories)
        wrong = [fault for story in stories for fault in story.wrong(SCRIPT.count)]
        broken = [story.marker for story in stories if not story.whole]
        result.require(wrong == [], "; ".join(wrong[:20]))
        result.require(broken == [], f"not ended by themselves: {broken[:20]}, {dict(codes)}")
        faults = await it.violations()
        result.require(faults == [], f"the vendor says: {faults[:20]}")
        return {
            "conversations": len(stories),
            "told of a drain": sum(bool(story.draining) for story in stories),
            "resumes": sum(story.resumes for story in stories),
            "cuts": phones.cuts,
            "numbered texts": sum(len(s.heard) + len(s.echoed) for s in stories),
        }


async def _restart(it: Fleet, number: int) -> None:
    replica = it.replicas[number]
    replica.signal(SIGTERM)
    status = await replica.ended(within=ONE)
    assert status == 0, f"a replica ended with {status}: {replica.log[-2000:]}"
    await it.start(number)


def run(bound: Bound) -> Result:
    """Roll."""
    result = Result({"restarts": 0}, least=("restarts", "told of a drain", "numbered texts"))

    async def rolled(directory: Path) -> dict[str, float]:
        return await roll(directory, bound, result)

    attempt(rolled, result, bound.left + 2 * ONE)
    result.done.pop("restarts begun", None)
    result.notes.append("gateways are forked off a process that has imported what they need")
    return result


PROOF: Final = Proof(
    "rolling",
    "a release loses, reorders and doubles no frame and no run of a tool",
    count=1000,
    seconds=540,
    unit="restarts",
    run=run,
)
