"""Pauses double up to their longest, and are spread at random."""

from __future__ import annotations

import pytest

from app.backoff import Backoff, between, jittered, reconnect_after, retry_later, retry_soon

TRIES = 500


def test_the_pause_doubles_up_to_the_longest() -> None:
    backoff = Backoff(first=0.5, longest=3.0)
    assert [backoff.limit(attempts) for attempts in (1, 2, 3, 4, 5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_an_outage_of_any_length_has_a_pause() -> None:
    assert Backoff(first=1.0, longest=30.0).limit(1_000_000) == 30.0


@pytest.mark.parametrize(
    ("least", "most", "draws"),
    [
        (1.0, 2.0, [Backoff(1.0, 8.0).after(2) for _ in range(TRIES)]),
        (2.0, 4.0, [jittered(4.0) for _ in range(TRIES)]),
        (0.9, 1.1, [between(0.9, 1.1) for _ in range(TRIES)]),
        (1.0, 5.0, [retry_soon() for _ in range(TRIES)]),
        (5.0, 10.0, [retry_later() for _ in range(TRIES)]),
        (0.5, 5.0, [reconnect_after() for _ in range(TRIES)]),
    ],
)
def test_draws_fill_their_range(least: float, most: float, draws: list[float]) -> None:
    quarter = (most - least) / 4
    assert least <= min(draws) < least + quarter
    assert most - quarter < max(draws) <= most
