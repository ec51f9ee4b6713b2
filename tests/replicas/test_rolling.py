"""Releases: both replicas behind HAProxy are restarted in turn, under running conversations."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from signal import SIGTERM
from typing import TYPE_CHECKING

import pytest

from tests.replicas.pair import ReplicaPair, Script, crowd, numbered, replica_pair
from tests.support.cutting import cutting_proxy
from tests.support.haproxy import Balancer, balanced, up
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.resuming import ResumingBrowser

DELAY = 3


async def rolled(
    directory: Path, *, rounds: int, size: int, seed: int | None = None
) -> dict[str, float]:
    """Restart both replicas `rounds` times while `size` conversations run; look at every one.

    Return what was made, by name.
    """
    seed = secrets.randbits(32) if seed is None else seed
    print(f"seed {seed}")
    begun = time.monotonic()
    script = Script(count=48, rate=12, texts=30, tool_every=15)
    async with (
        replica_pair(directory, drain_delay=DELAY, drain_timeout=90) as it,
        balanced(directory / "haproxy", it.ports) as balancer,
        cutting_proxy([balancer.public], seed, up=20_000, down=40_000) as phones,
    ):
        over = asyncio.Event()

        def begin(number: int) -> ResumingBrowser:
            # Every third browser is on a network that breaks now and then: it resumes anywhere.
            port = phones.port if number % 3 == 0 else balancer.public
            dice = random.Random(f"{seed}.{number}")  # noqa: S311 - a test\'s dice
            return numbered(it, f"r{number}", script, lambda: f"ws://127.0.0.1:{port}", dice)

        async def restart() -> None:
            for number in range(2 * rounds):
                await _restarted(it, balancer, number % 2)
            over.set()

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(crowd(size, begin, lambda _: not over.is_set()))
            await until(lambda: it.backend_sees(size // 2), within=90, every=0.5)
            await restart()
        stories = running.result()
        print(
            f"{2 * rounds} restarts in {time.monotonic() - begun:.0f} s: {len(stories)} "
            f"conversations, {sum(bool(s.draining) for s in stories)} of them were told of a "
            f"drain, {sum(s.resumes for s in stories)} resumes, {phones.cuts} cuts"
        )
        wrong = [fault for story in stories for fault in story.wrong(script.count)]
        broken = [story.marker for story in stories if not story.whole]
        codes = Counter(story.code for story in stories)
        print(f"ended with {dict(codes)}: {len(wrong)} faults, {len(broken)} not by themselves")
        assert wrong == [], "\n".join(wrong[:20])
        assert broken == []
        assert await it.violations() == []
        assert sum(bool(story.draining) for story in stories) >= size // 4
        return {
            "restarts": 2 * rounds,
            "conversations": len(stories),
            "told of a drain": sum(bool(story.draining) for story in stories),
            "resumes": sum(story.resumes for story in stories),
            "cuts": phones.cuts,
            "numbered texts": sum(len(s.heard) + len(s.echoed) for s in stories),
        }


async def _restarted(it: ReplicaPair, balancer: Balancer, number: int) -> None:
    """SIGTERM; it drains and exits 0; a new one takes its port, and HAProxy takes that one in."""
    replica = it.replicas[number]
    replica.signal(SIGTERM)
    assert await replica.ended(within=110) == 0
    await it.start(number)
    await until(lambda: up(balancer)[number], within=60, every=0.2)


async def test_rolling_restart_loses_reorders_and_doubles_nothing(tmp_path: Path) -> None:
    await rolled(tmp_path, rounds=1, size=24)


@pytest.mark.nightly
@pytest.mark.timeout(2 * 3600)
async def test_ten_rolling_restarts_under_200_conversations(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    await rolled(tmp_path, rounds=request.config.getoption("rounds"), size=200)
