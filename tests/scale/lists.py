"""How long pages of live sessions take, as `/v1/sessions` asks for them, and what they cost."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

from app.state.redis import RedisState, Timings
from app.state.row_filter import RowFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scale.nodes import Spent

ROUNDS: Final = 5
PAGES: Final[dict[str, dict[str, Any]]] = {
    "first": {},
    "deep": {"cursor": "f7"},
    "middle": {"cursor": "80"},
    "tenant": {"tenant": "tenant7"},
    "tenant, deep": {"tenant": "tenant7", "cursor": "c1"},
    "agent": {"only": RowFilter(agent="agent3")},
    "agent, deep": {"only": RowFilter(agent="agent3"), "cursor": "91"},
    "rare agent": {"only": RowFilter(agent="rare")},
    "search": {"only": RowFilter(search="SUBJECT77")},
}


async def measure(url: str, measured: Callable[[], Spent]) -> dict[str, Any]:
    """Milliseconds of each kind of page over redis-py's own client, and of Redis' CPU."""
    state = RedisState(url, "lists", timings=Timings(timeout=60.0))
    try:
        return {name: await _page(state, asked, measured) for name, asked in PAGES.items()}
    finally:
        await state.close()


async def _page(
    state: RedisState, asked: dict[str, Any], measured: Callable[[], Spent]
) -> dict[str, Any]:
    page = await state.sessions(limit=100, **asked)
    before, times = await asyncio.to_thread(measured), []
    own = time.process_time()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await state.sessions(limit=100, **asked)
        times.append((time.perf_counter() - began) * 1000)
    own = (time.process_time() - own) / ROUNDS * 1000
    used = (await asyncio.to_thread(measured)).since(before)
    return {
        "rows": len(page.rows),
        "total": page.total,
        "best_ms": round(min(times), 1),
        "median_ms": round(statistics.median(times), 1),
        "redis_cpu_ms": round(used.cpu / ROUNDS * 1000, 2),
        "gateway_cpu_ms": round(own, 2),
    }
