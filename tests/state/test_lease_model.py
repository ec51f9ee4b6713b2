"""Caps are never exceeded and no place is leaked, whatever crashes between which steps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tests.state.model_memory import MemoryStore
from tests.state.model_redis import ComparedStore, RedisStore
from tests.state.model_run import run_schedules
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisStore]:
    with RedisServer(tmp_path / "redis") as server:
        store = RedisStore(server.port)
        yield store
        store.close()


@pytest.mark.parametrize(
    "schedules",
    [300, pytest.param(100_000, marks=[pytest.mark.nightly, pytest.mark.timeout(7200)])],
)
def test_caps_hold_and_no_place_is_leaked(schedules: int) -> None:
    counts: Counter[str] = Counter()
    for first in range(0, schedules, 100):
        with capture_logs():
            more, broken = run_schedules(MemoryStore(), range(first, first + 100))
        assert not broken
        counts += more
    print(f"{schedules} schedules: {dict(counts)}")
    check_counts(counts, schedules)


def test_real_redis_comes_to_the_same(redis: RedisStore) -> None:
    schedules = 40
    store = ComparedStore(MemoryStore(), redis)
    with capture_logs():
        counts, broken = run_schedules(store, range(1000, 1000 + schedules))
    assert not broken
    check_counts(counts, schedules)
    assert store.compared > 100 * schedules


def check_counts(counts: Counter[str], schedules: int) -> None:
    """It is about something only if sessions came and went, and things went wrong meanwhile."""
    for kind in ("admitted", "leave", "beat", "crashed", "lost", "failovers", "moved"):
        assert counts[kind] > schedules / 10, counts
