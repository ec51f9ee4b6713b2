"""Attempts that begin one after another, and run side by side (RFC 8305 §5)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
    from typing import Any

Won = TypeVar("Won")

DELAY: Final = 0.25
"""Seconds until the next attempt begins beside one that is under way: RFC 8305 §8 recommends it."""


async def race(
    attempts: Sequence[Callable[[], Coroutine[Any, Any, Won]]],
    *,
    discard: Callable[[Won], Awaitable[None]],
    delay: float = DELAY,
) -> Won:
    """Return what the first attempt that succeeds returns; the others are cancelled.

    The next attempt begins `delay` seconds after the one before it, or at once where all have
    failed. `discard` is given whatever else succeeded. Raises the first attempt's error if none
    succeeds; `attempts` must not be empty.
    """
    waiting = deque(attempts)
    errors: list[BaseException] = []
    running: set[asyncio.Task[Won]] = set()
    try:
        while waiting or running:
            if waiting:
                running.add(asyncio.create_task(waiting.popleft()(), name="connect_attempt"))
            done, _ = await asyncio.wait(
                running,
                timeout=delay if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                error = task.exception()
                if error is None:
                    running.discard(task)
                    return task.result()
                running.discard(task)
                errors.append(error)
    finally:
        await _abandon(running, discard)
    raise errors[0]


async def _abandon(
    tasks: Iterable[asyncio.Task[Won]], discard: Callable[[Won], Awaitable[None]]
) -> None:
    """Cancel what still runs, and discard what has succeeded all the same."""
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if not isinstance(ended, BaseException):
            await discard(ended)
