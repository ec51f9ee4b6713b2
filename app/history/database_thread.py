"""A thread with an event loop of its own, on which all work on the history database is done.

A transaction is many steps, each of which waits for a driver. On the loop that serves the
conversations, every step would wait for an iteration of that loop, with the database's lock held
meanwhile, and a busy loop has few of them a second. Here a transaction costs that loop one
hand-over and one answer, whatever it does.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

Value = TypeVar("Value")

NAME: Final = "history-database"
JOIN: Final = 5.0
"""Seconds that the end of the thread is waited for, once its loop was told to stop."""


class DatabaseThread:
    """Runs coroutines one beside the other on its own event loop; started by the first of them.

    `hand_overs` counts how many it was given.
    """

    def __init__(self) -> None:
        self.hand_overs = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def submit(self, work: Coroutine[Any, Any, Value]) -> Future[Value]:
        """Begin `work` on the thread's loop, in the caller's context variables."""
        self.hand_overs += 1
        return asyncio.run_coroutine_threadsafe(work, self._started())

    async def stop(self) -> None:
        """Cancel what is left and end the thread; a later `submit` starts another one."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.get_running_loop().run_in_executor(None, thread.join, JOIN)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            # A daemon: a process that ends without `stop` must not hang on it.
            self._thread = threading.Thread(target=_serve, args=(loop,), name=NAME, daemon=True)
            self._thread.start()
        return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.wait(left))
        loop.close()
