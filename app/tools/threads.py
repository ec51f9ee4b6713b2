"""Threads for synchronous tools: bounded in number, and never in the way of an exit."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


class DaemonThreads:
    """Runs functions in at most `bound` threads at a time.

    A thread cannot be stopped. One whose caller has given up keeps its place until it is done, so
    that hanging tools run into this bound instead of into the machine's. They are daemons, unlike
    those of an executor, which would hold up the process's exit.
    """

    def __init__(self, bound: int = 32) -> None:
        self._places = asyncio.Semaphore(bound)

    async def run(self, function: Callable[[], R]) -> R:
        """Run a function in a thread of its own, in a copy of the caller's context."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()
        context = contextvars.copy_context()

        def finish(result: R | None, error: BaseException | None) -> None:
            self._places.release()
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)  # type: ignore[arg-type] # None is an R where R allows it
            elif isinstance(error, (StopIteration, KeyboardInterrupt)):
                # A future cannot hold the one (PEP 479); the other would stop the loop.
                done.set_exception(RuntimeError(f"the tool raised {type(error).__name__}"))
            else:
                done.set_exception(error)

        def work() -> None:
            result, error = None, None
            try:
                result = context.run(function)
            except BaseException as raised:  # noqa: BLE001 - foreign code; SystemExit included
                error = raised
            # The loop may be gone by the time a hanging tool returns.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, result, error)

        try:
            threading.Thread(target=work, name="tool", daemon=True).start()
        except RuntimeError:
            self._places.release()
            raise
        return await done
