"""Threads of synchronous tools: used again, bounded, and held up by none that hangs."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

from app.tools.threads import MOST_IDLE, DaemonThreads
from tests.support.waiting import until


def tool_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "tool"}


async def test_calls_one_after_the_other_take_one_thread() -> None:
    threads = DaemonThreads()
    assert len({await threads.run(threading.get_ident) for _ in range(50)}) == 1


async def test_calls_at_once_take_a_thread_each_and_a_few_are_kept() -> None:
    before = tool_threads()
    threads, count = DaemonThreads(), MOST_IDLE + 6
    together = threading.Barrier(count)
    await asyncio.gather(*(threads.run(together.wait) for _ in range(count)))
    await until(lambda: len(tool_threads() - before) == MOST_IDLE)
    await asyncio.gather(*(threads.run(threading.get_ident) for _ in range(MOST_IDLE)))
    assert len(tool_threads() - before) == MOST_IDLE


async def test_one_that_hangs_holds_up_no_other() -> None:
    threads, release = DaemonThreads(2), threading.Event()
    hanging = asyncio.create_task(threads.run(release.wait))
    try:
        assert [await threads.run(lambda: 1) for _ in range(5)] == [1] * 5
    finally:
        release.set()
    assert await hanging


async def test_what_was_called_is_let_go_of_while_its_thread_waits() -> None:
    class Called:
        def __call__(self) -> None:
            return None

    threads, called = DaemonThreads(), Called()
    left = weakref.ref(called)
    await threads.run(called)
    del called
    await until(lambda: bool(gc.collect() + 1) and left() is None)


async def test_threads_end_with_what_they_were_started_for() -> None:
    before = tool_threads()
    threads = DaemonThreads()
    await threads.run(lambda: None)
    assert tool_threads() - before
    del threads
    await until(lambda: bool(gc.collect() + 1) and not tool_threads() - before)
