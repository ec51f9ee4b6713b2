"""Caps are never exceeded and no place is leaked, whatever crashes between which steps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.state.lease_model import Schedule
from tests.state.model_store import Wire, run_beside
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LENGTH = 80


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with RedisServer(tmp_path / "redis") as server:
        wire = Wire(server.port)
        yield wire
        wire.close()


def run_schedules(wire: Wire, seeds: range) -> Counter[str]:
    """Run them all; raise `AssertionError` with the seed that breaks a promise."""
    counts: Counter[str] = Counter()

    async def one(seed: int, number: int) -> None:
        schedule = Schedule(wire, seed, number)
        try:
            await schedule.run(LENGTH)
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        counts.update(schedule.counts)

    run_beside(wire, iter(seeds), one)
    return counts


@pytest.mark.parametrize(
    "schedules",
    [300, pytest.param(100_000, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)])],
)
def test_caps_hold_and_no_place_is_leaked(wire: Wire, schedules: int) -> None:
    counts = run_schedules(wire, range(schedules))
    print(f"{schedules} schedules: {dict(counts)}")
    # It is about something only if sessions came and went, and things went wrong meanwhile.
    for kind in ("admitted", "leave", "beat", "crashed", "lost", "failovers", "moved"):
        assert counts[kind] > schedules / 10, counts
