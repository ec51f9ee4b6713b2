"""How long pages of live sessions take, as `/v1/sessions` asks for them, and what they cost."""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from app.state.redis import RedisState, Timings
from app.state.row_filter import RowFilter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.scale.nodes import Spent

ROUNDS: Final = 9
GOAL: Final = 50.0
"""Milliseconds that a page may take, in the median of `ROUNDS`."""

RARE: Final = RowFilter(agent="rare")
PAGES: Final[dict[str, dict[str, Any]]] = {
    "count": {"limit": 1},
    "first": {},
    "deep": {"cursor": "f7"},
    "middle": {"cursor": "80"},
    "tenant": {"tenant": "tenant7"},
    "tenant, deep": {"tenant": "tenant7", "cursor": "c1"},
    "agent": {"only": RowFilter(agent="agent3")},
    "agent, deep": {"only": RowFilter(agent="agent3"), "cursor": "91"},
    "agent of a tenant": {"only": RowFilter(agent="agent3"), "tenant": "tenant7"},
    "rare agent": {"only": RARE},
    "phase": {"only": RowFilter(search="connecting")},
    "search": {"only": RowFilter(search="SUBJECT77")},
}


async def measure(url: str, measured: Callable[[], Spent]) -> dict[str, Any]:
    """Milliseconds of each kind of page over redis-py's own client, and of Redis' CPU."""
    async with opened(url) as state:
        return {name: await _page(state, asked, measured) for name, asked in PAGES.items()}


async def walk(url: str) -> dict[str, Any]:
    """Follow a rare filter's cursor from the first page to the last: no row may be left out."""
    found: set[str] = set()
    times: list[float] = []
    async with opened(url) as state:
        cursor, began = None, time.perf_counter()
        while True:
            asked = time.perf_counter()
            page = await state.sessions(cursor, 100, RARE)
            times.append((time.perf_counter() - asked) * 1000)
            found.update(row.id for row in page.rows)
            cursor = page.next
            if cursor is None:
                break
    return {
        "found": len(found),
        "pages": len(times),
        "seconds": round(time.perf_counter() - began, 2),
        "median_ms": round(statistics.median(times), 1),
        "longest_ms": round(max(times), 1),
    }


async def total(url: str) -> int:
    """How many sessions are listed."""
    async with opened(url) as state:
        return (await state.sessions(limit=1)).total


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisState]:
    """The port, by redis-py's own client."""
    state = RedisState(url, "lists", timings=Timings(timeout=60.0))
    try:
        yield state
    finally:
        await state.close()


async def _page(
    state: RedisState, asked: dict[str, Any], measured: Callable[[], Spent]
) -> dict[str, Any]:
    asked = {"limit": 100} | asked
    page = await state.sessions(**asked)
    before, times = await asyncio.to_thread(measured), []
    own = time.process_time()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await state.sessions(**asked)
        times.append((time.perf_counter() - began) * 1000)
    own = (time.process_time() - own) / ROUNDS * 1000
    used = (await asyncio.to_thread(measured)).since(before)
    return {
        "rows": len(page.rows),
        "ends": page.next is None,
        "total": page.total,
        "best_ms": round(min(times), 1),
        "median_ms": round(statistics.median(times), 1),
        "worst_ms": round(max(times), 1),
        "redis_cpu_ms": round(used.cpu / ROUNDS * 1000, 2),
        "gateway_cpu_ms": round(own, 2),
    }
