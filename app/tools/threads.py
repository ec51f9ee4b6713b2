"""Threads for synchronous tools: bounded in number, and never in the way of an exit."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")

MOST_IDLE: Final = 4
"""Threads that wait for the next call: to start one costs more than to wake one."""

Jobs: TypeAlias = "SimpleQueue[Callable[[], bool] | None]"
"""What a thread is to do, one after the other. A job says whether another may follow; None: end."""


class DaemonThreads:
    """Runs functions in at most `bound` threads at a time.

    A thread cannot be stopped. One whose caller has given up keeps its place until it is done, so
    that hanging tools run into this bound instead of into the machine's. They are daemons, unlike
    those of an executor, which would hold up the process's exit.
    """

    def __init__(self, bound: int = 32) -> None:
        self._places = asyncio.Semaphore(bound)
        self._idle: list[Jobs] = []
        weakref.finalize(self, _end, self._idle)

    async def run(self, function: Callable[[], R]) -> R:
        """Run a function in a thread that runs nothing else, in a copy of the caller's context."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        context = contextvars.copy_context()

        def finish(result: R | None, error: BaseException | None) -> None:
            self._places.release()
            if len(self._idle) < MOST_IDLE:
                self._idle.append(jobs)
            else:
                jobs.put(None)
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)  # type: ignore[arg-type] # None is an R where R allows it
            elif isinstance(error, (StopIteration, KeyboardInterrupt)):
                # A future cannot hold the one (PEP 479); the other would stop the loop.
                done.set_exception(RuntimeError(f"the tool raised {type(error).__name__}"))
            else:
                done.set_exception(error)

        def work() -> bool:
            result, error = None, None
            try:
                result = context.run(function)
            except BaseException as raised:  # noqa: BLE001 - foreign code; SystemExit included
                error = raised
            try:
                loop.call_soon_threadsafe(finish, result, error)
            except RuntimeError:  # the loop was gone before a hanging tool returned
                return False
            return True

        try:
            jobs = self._idle.pop() if self._idle else _started()
        except RuntimeError:
            self._places.release()
            raise
        jobs.put(work)
        return await done


def _started() -> Jobs:
    """Start a thread. Raises RuntimeError where there can be no more."""
    jobs: Jobs = SimpleQueue()
    threading.Thread(target=_serve, args=(jobs,), name="tool", daemon=True).start()
    return jobs


def _serve(jobs: Jobs) -> None:
    while (job := jobs.get()) is not None:
        is_followed = job()
        del job  # it holds what was called with, and would while this thread waits
        if not is_followed:
            return


def _end(idle: list[Jobs]) -> None:
    for jobs in idle:
        jobs.put(None)
