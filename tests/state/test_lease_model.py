"""Caps are never exceeded and no place is leaked, whatever crashes between which steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.state.model_run import run_schedules
from tests.state.model_store import Wire
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    counts = run_schedules(wire, range(schedules))
    print(f"{schedules} schedules: {dict(counts)}")
    # It is about something only if sessions came and went, and things went wrong meanwhile.
    for kind in ("admitted", "leave", "beat", "crashed", "lost", "failovers", "moved"):
        assert counts[kind] > schedules / 10, counts
