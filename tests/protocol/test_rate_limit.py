"""How many frames, how fast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.rate_limit import TokenBucket

TODAY = 1_800_000_000.123


@given(rate=st.floats(0.1, 1000), burst=st.integers(1, 200), now=st.sampled_from([0.0, TODAY, 1e5]))
def test_exactly_a_burst_passes_at_once(rate: float, burst: int, now: float) -> None:
    bucket = TokenBucket(rate, burst)
    assert [bucket.allows(now) for _ in range(burst + 1)] == [True] * burst + [False]


def test_steady_frames_at_the_rate_always_pass() -> None:
    bucket = TokenBucket(20, 1)
    assert all(bucket.allows(TODAY + at * 0.05) for at in range(1000))


def test_a_refused_frame_takes_nothing() -> None:
    bucket = TokenBucket(1, 1)
    assert bucket.allows(0.0)
    assert not any(bucket.allows(0.1) for _ in range(100))
    assert bucket.allows(1.0)


@pytest.mark.parametrize("seconds", [1, 10, 100])
def test_no_more_than_the_burst_and_the_rate_pass_over_time(seconds: int) -> None:
    bucket = TokenBucket(10, 5)
    passed = sum(bucket.allows(TODAY + at / 1000) for at in range(seconds * 1000))
    assert 5 + seconds * 10 - 1 <= passed <= 5 + seconds * 10 + 1


def test_silence_saves_no_more_than_one_burst() -> None:
    bucket = TokenBucket(10, 5)
    assert bucket.allows(TODAY)
    assert sum(bucket.allows(TODAY + 3600) for _ in range(100)) == 5
