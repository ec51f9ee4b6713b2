"""Caps are never exceeded and no place is leaked, whatever crashes between which steps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.state.lease_model import Schedule, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

from tests.support.redis import RedisServer

LENGTH = 80


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with RedisServer(tmp_path / "redis") as server:
        wire = Wire(server.port)
        yield wire
        wire.close()


@pytest.mark.parametrize(
    "schedules",
    [300, pytest.param(100_000, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)])],
)
def test_caps_hold_and_no_place_is_leaked(wire: Wire, schedules: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(schedules):
        schedule = Schedule(wire, seed)
        try:
            schedule.run(LENGTH)
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        counts += schedule.counts
    print(f"{schedules} schedules: {dict(counts)}")
    # It is about something only if sessions came and went, and things went wrong meanwhile.
    for kind in ("admitted", "leave", "beat", "crashed", "lost"):
        assert counts[kind] > schedules / 10, counts
