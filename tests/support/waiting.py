"""Waiting for a fact instead of for time."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(holds: Callable[[], Any], *, within: float = 60.0, every: float = 0.01) -> Any:
    """Poll `holds`, a function or coroutine function, until it is true; return what it said."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        said = holds()
        if inspect.isawaitable(said):
            said = await said
        if said:
            return said
        if loop.time() > deadline:
            raise AssertionError(f"not within {within} s: {inspect.getsource(holds).strip()}")
        await asyncio.sleep(every)
