"""Blocking work in a daemon thread, which delays not even the end of the process."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")


def in_thread(work: Callable[[], Value], name: str) -> asyncio.Future[Value]:
    """Do `work` in a daemon thread; the future has its value, or what it raised.

    A thread of the loop's executor (`asyncio.to_thread`) is joined when the loop ends.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Value] = loop.create_future()

    def settle(value: Value | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value: Value | None = None
        error: BaseException | None = None
        try:
            value = work()
        except BaseException as raised:  # noqa: BLE001 - it is the future's
            error = raised
        with suppress(RuntimeError):  # the loop has ended: no waiter is left
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
