"""Looking after thousands of sessions leaves the event loop to others in between."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from app.gateway.live_sessions import LiveSessions
from app.gateway.steps import in_steps
from app.gateway.upkeep import SESSIONS_PER_STEP, Upkeep
from app.state.memory import MemoryState
from tests.state.conftest import row
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.state.interface import SessionRow

SESSIONS = 9_000


class Iterations:
    """Counts the iterations of the event loop, in each of which others have their turn."""

    def __init__(self) -> None:
        self.count = 0
        self._loop = asyncio.get_running_loop()
        self._next()

    def _next(self) -> None:
        self.count += 1
        self._handle = self._loop.call_soon(self._next)

    def stop(self) -> None:
        self._handle.cancel()


async def test_every_step_is_small_and_in_an_iteration_of_its_own() -> None:
    iterations = Iterations()
    at: list[int] = []
    seen: list[str] = []
    async for some in in_steps([str(number) for number in range(SESSIONS)], SESSIONS_PER_STEP):
        assert 0 < len(some) <= SESSIONS_PER_STEP
        at.append(iterations.count)
        seen += some
    iterations.stop()
    assert seen == [str(number) for number in range(SESSIONS)]
    assert len(set(at)) == len(at)


async def test_sessions_that_begin_or_end_meanwhile_do_no_harm() -> None:
    live = {str(number): None for number in range(10)}
    seen: list[str] = []
    async for some in in_steps(live, 4):
        seen += some
        live.pop(str(len(seen)), None)
        live[f"new{len(seen)}"] = None
    assert seen == [str(number) for number in range(10)]


class CountedSessions(LiveSessions):
    """Counts the rows that are made in each iteration; they are those that were registered."""

    def __init__(self, iterations: Iterations) -> None:
        super().__init__()
        self.made: dict[int, int] = {}
        self._iterations = iterations

    def row(self, session_id: str) -> SessionRow:
        self.made[self._iterations.count] = self.made.get(self._iterations.count, 0) + 1
        return self.registered[session_id]


async def test_9000_sessions_are_refreshed_a_few_in_each_iteration() -> None:
    iterations = Iterations()
    live = CountedSessions(iterations)
    silent: Any = SimpleNamespace(pages=None)
    for number in range(SESSIONS):
        live.add(silent, row(str(number), address=str(number)))

    async def account() -> None:
        pass

    state = MemoryState("a")
    metrics: Any = None
    upkeep = Upkeep(state, live, metrics, account)
    keeping = asyncio.create_task(upkeep.keep_leases())

    async def all_are_listed() -> bool:
        return (await state.sessions(limit=1)).total == SESSIONS

    await until(all_are_listed, within=60)
    keeping.cancel()
    iterations.stop()
    assert sum(live.made.values()) >= SESSIONS
    assert max(live.made.values()) <= SESSIONS_PER_STEP
