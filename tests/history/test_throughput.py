"""History keeps up with what a gateway can carry, and holds the event loop for no conversation."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app.history.conversation import LONGEST_TURN, BatchPart, RecordedConversation
from app.history.database import Database
from app.history.recorder import QueueRecorder
from app.history.store import Store
from tests.bench.history import HoldSelector
from tests.history.feed import DOWN, NOW, QUICK, running, start, text, until

if TYPE_CHECKING:
    from pydantic import SecretStr

LONG = 200_000
"""Characters of a turn that still grows, and is written anew with every piece."""


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


def test_what_a_batch_rewrites_of_a_turn_that_never_ends_is_bounded() -> None:
    conversation = RecordedConversation(start("c"), content=True, transcript=None)
    piece, pieces = "x" * 1000, 400
    kept: dict[int, str] = {}
    for _ in range(pieces):
        part = BatchPart(conversation)
        conversation.frame(part, DOWN, NOW, text("assistant", piece))
        rows = list(part.turn_rows())
        assert sum(len(row["text"]) for row in rows) <= LONGEST_TURN + len(piece)
        kept |= {row["number"]: row["text"] for row in rows}
    assert "".join(kept.values()) == piece * pieces
