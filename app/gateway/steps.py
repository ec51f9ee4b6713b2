"""Work on many sessions in steps, between which the event loop does everything else."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable


async def in_steps(ids: Iterable[str], count: int) -> AsyncIterator[list[str]]:
    """Yield these ids, as they are now, `count` at a time, each time in another loop iteration.

    A session may have ended since, and others may have begun.
    """
    remaining = iter(list(ids))
    while some := list(islice(remaining, count)):
        yield some
        await asyncio.sleep(0)
