"""What one worker's `/metrics` says of all, also of those that are silent or gone."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from app.bootstrap.worker_metrics import WorkerMetrics, fold, last_word_of, socket_of

if TYPE_CHECKING:
    from pathlib import Path

COUNTED = "# HELP c C.\n# TYPE c counter\nc {}\n# HELP g G.\n# TYPE g gauge\ng {}\n"


def text(counter: float, gauge: float) -> str:
    return COUNTED.format(counter, gauge)


async def own() -> bytes:
    return text(1, 1).encode()


async def test_a_silent_worker_is_waited_for_no_longer_than_that_and_counts_by_its_last_word(
    tmp_path: Path,
) -> None:
    silent = os.getpid() + 1
    connected = asyncio.Event()
    released = asyncio.Event()

    async def stay(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await released.wait()
        writer.close()

    last_word_of(tmp_path, silent).write_text(text(10, 10))
    async with AsyncExitStack() as stack:
        server = await asyncio.start_unix_server(stay, str(socket_of(tmp_path, silent)))
        stack.callback(server.close)
        stack.callback(released.set)
        asked = WorkerMetrics(tmp_path, own, (), timeout=0.2)
        async with asked.answering():
            said = (await asked.exposition()).decode()
        assert connected.is_set()
    assert "c 11.0\n" in said
    assert "g 1.0\n" in said


async def test_a_worker_that_answers_counts_once(tmp_path: Path) -> None:
    other = WorkerMetrics(tmp_path, own, ())
    async with other.answering():
        socket_of(tmp_path, os.getpid()).rename(socket_of(tmp_path, os.getpid() + 1))
        asked = WorkerMetrics(tmp_path, own, ())
        async with asked.answering():
            for _ in range(3):
                assert "c 2.0\n" in (await asked.exposition()).decode()


async def test_ended_workers_add_up_and_are_counted_once(tmp_path: Path) -> None:
    asked = WorkerMetrics(tmp_path, own, ())
    for number, counter in ((1, 10), (2, 100)):
        pid = os.getpid() + number
        last_word_of(tmp_path, pid).write_text(text(counter, counter))
        fold(tmp_path, pid)
        fold(tmp_path, pid)
        assert not last_word_of(tmp_path, pid).exists()
    assert "c 111.0\n" in (await asked.exposition()).decode()
    # One that was read just before it was folded is known by its number.
    last_word_of(tmp_path, os.getpid() + 1).write_text(text(10, 10))
    said = (await asked.exposition()).decode()
    assert "c 111.0\n" in said
    assert "g 1.0\n" in said


async def test_a_directory_that_cannot_be_written_loses_no_answer(tmp_path: Path) -> None:
    asked = WorkerMetrics(tmp_path / "absent", own, ())
    assert "c 1.0\n" in (await asked.exposition()).decode()
