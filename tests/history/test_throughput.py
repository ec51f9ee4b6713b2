"""History keeps up with what a gateway can carry, and holds the event loop for no conversation."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app.history.database import Database
from app.history.queue import Bounds
from app.history.recorder import QueueRecorder
from app.history.store import Store
from tests.bench.history import RECORDS, HoldSelector, chat
from tests.history.feed import DOWN, NOW, QUICK, running, start, text, until

if TYPE_CHECKING:
    from pydantic import SecretStr

LONG = 200_000
"""Characters of a turn that still grows, and is written anew with every piece."""


async def test_a_busy_process_drops_nothing_that_the_database_could_take(
    sqlite_url: SecretStr,
) -> None:
    """Three thousand records for each second of CPU, and room for two thousand to wait."""
    database = Database(sqlite_url)
    recorder = QueueRecorder(Bounds(count=2000), time.monotonic, Store(database))
    await Store(database).open()
    fed = 0
    began = time.thread_time()
    async with running(recorder):
        while (spent := time.thread_time() - began) < 2.0:  # the load itself is what is waited for
            while fed * RECORDS < spent * 3000:
                chat(recorder, f"c{fed}")
                fed += 1
            burn = time.thread_time()
            while time.thread_time() - burn < 0.0005:
                pass
            await asyncio.sleep(0)
    await database.close()
    counts = recorder.counts()
    assert counts.dropped.total() == 0
    assert counts.written.total() == fed * RECORDS >= 5_500


def test_turns_that_grow_long_do_not_hold_the_loop(url: SecretStr) -> None:
    selector = HoldSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        assert runner.run(_longest_hold(url, selector)) < 0.010


async def _longest_hold(url: SecretStr, selector: HoldSelector) -> float:
    """CPU seconds, while forty turns of that length get another piece five times."""
    database = Database(url)
    recorder = QueueRecorder(QUICK, time.monotonic, Store(database))
    names = [f"c{number}" for number in range(40)]
    holds: list[float] = []
    async with running(recorder):
        for name in names:
            recorder.started(start(name))
            recorder.frame(name, DOWN, NOW, text("assistant", "я" + "x" * LONG))
        await until(lambda: recorder.counts().waiting == 0)
        for _ in range(5):
            for name in names:
                recorder.frame(name, DOWN, NOW, text("assistant", " more"))
            await asyncio.sleep(0)
            selector.holds.clear()
            await until(lambda: recorder.counts().waiting == 0)
            holds.append(max(selector.holds))
    await database.close()
    return sorted(holds)[len(holds) // 2]
