"""Frames are counted into the right bucket, once, when they have been written."""

from __future__ import annotations

import math
from time import monotonic

from app.telemetry.latency import FAST, BatchLatency, Latency


def test_latency_buckets_are_cumulative_and_end_in_the_count() -> None:
    latency = Latency()
    latency.observe(0.00001, 3)
    latency.observe(FAST[0], 1)
    latency.observe(0.3, 2)
    latency.observe(99.0, 1)
    buckets = dict(latency.buckets())
    assert buckets[str(FAST[0])] == 4
    assert buckets["0.1"] == 4
    assert buckets["0.5"] == 6
    assert buckets["+Inf"] == 7
    assert math.isclose(latency.total, 0.00003 + FAST[0] + 0.6 + 99)


def test_a_turn_s_frames_are_noted_once_in_their_direction() -> None:
    browser, upstream = Latency(), Latency()
    turns = BatchLatency(browser, upstream)
    browser.pending = 3
    turns.written(monotonic() - 0.2)
    turns.written(monotonic() - 0.7)  # nothing was judged
    upstream.pending = 2
    turns.written(monotonic() - 2.0)
    assert (browser.pending, upstream.pending) == (0, 0)
    assert dict(browser.buckets()) == {
        **{str(bound): 0 if bound < 0.5 else 3 for bound in FAST},
        "+Inf": 3,
    }
    assert dict(upstream.buckets()) == {**dict.fromkeys(map(str, FAST), 0), "+Inf": 2}
    assert 0.6 <= browser.total <= 1.5
    assert upstream.total >= 4.0
