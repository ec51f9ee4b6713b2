"""When a process that has ended is started again."""

from __future__ import annotations

from app.bootstrap.restarts import Restarts
from app.bootstrap.worker import share


def test_each_end_waits_longer_than_the_last_up_to_a_bound() -> None:
    restarts, now, delays = Restarts(), 0.0, []
    for _ in range(10):
        restarts.started(now)
        delays.append(restarts.ended(now + 1))
        assert not restarts.due(now + 1)
        now += 1 + delays[-1]
        assert restarts.due(now)
    assert delays[0] == Restarts.FIRST
    assert delays == sorted(delays)
    assert delays[-1] == Restarts.LONGEST


def test_one_that_has_run_long_is_as_good_as_new() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.started(0.0)
        restarts.ended(1.0)
    restarts.started(10.0)
    assert restarts.ended(10.0 + Restarts.SOUND) == Restarts.FIRST


def test_shares_of_a_bound_add_up() -> None:
    assert [share(10, 4, number) for number in range(4)] == [3, 3, 2, 2]
    assert [share(1, 2, number) for number in range(2)] == [1, 1]
