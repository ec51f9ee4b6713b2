"""History keeps up with what a gateway can carry; measured beside nothing else."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pydantic import SecretStr

from app.history.database import Database
from app.history.queue import Bounds
from app.history.recorder import QueueRecorder
from app.history.store import Store
from tests.bench.history import RECORDS, chat
from tests.history.feed import running

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_busy_process_writes_while_it_is_busy_and_drops_nothing(tmp_path: Path) -> None:
    """Three thousand records for each second of CPU, with the room that they have by default.

    How much is written meanwhile depends on when the machine runs the database's thread: a quarter
    is far below what any run here gave.
    """
    database = Database(SecretStr(f"sqlite+aiosqlite:///{tmp_path}/history.db"))
    recorder = QueueRecorder(Bounds(), time.monotonic, Store(database))
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
        meanwhile = recorder.counts().written.total()
    await database.close()
    counts = recorder.counts()
    assert counts.dropped.total() == 0
    assert counts.written.total() == fed * RECORDS >= 5_500
    assert meanwhile >= fed * RECORDS / 4
