"""Standard input line by line, whatever it is: terminal, pipe or file."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PIECE: Final = 4096
MAX_LINE: Final = 16 * 1024
WAITING: Final = 16


async def lines() -> AsyncIterator[str]:
    """Yield each line without its end; one longer than `MAX_LINE` bytes is cut into several.

    A thread reads, which does not keep the process from ending: nothing can interrupt a read of a
    file or a terminal.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue(WAITING)

    def read() -> None:
        # The loop is closed, or is being closed: none waits for more.
        with suppress(RuntimeError, CancelledError, OSError):
            for line in _lines(sys.stdin.fileno()):
                asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(queue.put(None), loop).result()

    threading.Thread(target=read, daemon=True, name="standard input").start()
    while (line := await queue.get()) is not None:
        yield line


def _lines(descriptor: int) -> Iterator[str]:
    """Lines of a file descriptor, by `os.read`: a buffered reader's lock would outlive us."""
    held = b""
    while piece := os.read(descriptor, PIECE):
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace")
        if len(held) > MAX_LINE:
            yield held.decode(errors="replace")
            held = b""
    if held:
        yield held.decode(errors="replace")
