"""Leases of sessions in `MemoryState`, by a clock of the test's own."""

from __future__ import annotations

from app.state.interface import Caps
from app.state.memory import MemoryState
from tests.state.conftest import Clock, row

LEASE = 15.0


async def test_a_lease_runs_out_and_frees_the_caps() -> None:
    clock = Clock()
    state, caps = MemoryState("a", clock=clock, lease=LEASE), Caps(per_subject=1, per_address=1)
    assert await state.enter(row("s1"), caps) is None
    clock.now += LEASE - 1
    assert await state.enter(row("s2"), caps) == "subject"
    clock.now += 1
    assert await state.find("s1") is None
    assert await state.enter(row("s2"), caps) is None
    assert [found.id for found in (await state.sessions()).rows] == ["s2"]


async def test_a_refreshed_lease_does_not_run_out() -> None:
    clock = Clock()
    state, caps = MemoryState("a", clock=clock, lease=LEASE), Caps(per_subject=1, per_address=9)
    kept, left = row("kept"), row("left", subject="bob")
    assert await state.enter(kept, caps) is None
    assert await state.enter(left, caps) is None
    for _ in range(3):
        clock.now += LEASE / 2
        await state.refresh([kept])
    assert await state.find("kept") == kept
    assert await state.find("left") is None
    assert await state.enter(row("second"), caps) == "subject"
