"""Runs a part of a proof in one process for each processor, each by a seed of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from multiprocessing.connection import wait
from random import Random
from typing import TYPE_CHECKING, Final

from tests.proof.report import Bound, Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

    Work = Callable[[Bound, Result], None]

GRACE: Final = 120.0
"""Seconds that a process may take to end after its time."""


def spread(work: Work, bound: Bound, result: Result, processes: int | None = None) -> None:
    """Share the count among processes; a process that ends without a result is a loss.

    The seed of the first is the bound's own: one process does what a call of `work` does. So a run
    comes again with the same seed and the same number of processors.
    """
    number = min(processes or os.cpu_count() or 1, bound.count)
    context = multiprocessing.get_context("fork")
    running: dict[Connection, ForkProcess] = {}
    for place in range(number):
        mine = bound.count // number + (place < bound.count % number)
        seed = Random(f"{bound.seed}.{place}").getrandbits(32) if place else bound.seed  # noqa: S311
        receiving, sending = context.Pipe(duplex=False)
        part = bound.part(mine, bound.left, seed)
        process = context.Process(target=_work, args=(work, part, sending))
        with warnings.catch_warnings():
            # Of threads that run here, the work uses none, nor a lock that they may hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        sending.close()
        running[receiving] = process
    deadline = time.monotonic() + bound.left + GRACE
    told = False
    while running and time.monotonic() < deadline:
        for pipe in wait(list(running), 0.2):
            _collect(running.pop(pipe), pipe, result)  # type: ignore[call-overload, arg-type]
        if bound.stopped.is_set() and not told:
            told = True
            for process in running.values():
                process.terminate()
    for process in running.values():
        result.unfinished.append(f"a process was not over {GRACE:.0f} s after its time")
        process.kill()
        process.join()


def _collect(process: ForkProcess, pipe: Connection, result: Result) -> None:
    """Take a process's result, and wait for its end."""
    try:
        result.merge(pipe.recv())
    except EOFError:
        process.join()
        result.lose(f"a process ended with {process.exitcode}, without a result")
    process.join()
    pipe.close()


def _work(work: Work, bound: Bound, pipe: Connection) -> None:
    """What runs in a process: its parent is told SIGINT, and passes it on as SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: bound.stop())
    result = Result()
    work(bound, result)
    pipe.send(result)
    pipe.close()
