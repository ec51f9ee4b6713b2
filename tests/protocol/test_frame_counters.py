"""Counting by a closed set of types."""

from __future__ import annotations

from app.protocol.frame_counters import FrameCounters
from app.protocol.frames import BROWSER_TYPES, OTHER, UPSTREAM_TYPES


def test_every_known_type_is_there_from_the_start() -> None:
    counters = FrameCounters()
    assert set(counters.from_browser.frames) == BROWSER_TYPES | {OTHER}
    assert set(counters.from_upstream.frames) == UPSTREAM_TYPES | {OTHER}
    assert not any(counters.from_upstream.frames.values())


def test_frames_and_bytes_are_counted() -> None:
    count = FrameCounters().from_upstream
    count.add("text", 10)
    count.add("text", 5)
    assert (count.frames["text"], count.size) == (2, 15)


def test_frames_of_several_types_are_counted_whenever_they_are_read() -> None:
    count = FrameCounters().from_upstream
    for kind in ("text", "text", "event", "made up", "text", "".join(("te", "xt"))):
        count.add(kind, 1)
        assert sum(count.frames.values()) == count.size
    for kind in ("event", "event", "text", "made up"):
        count.add(kind, 1)
    assert (count.frames["text"], count.frames["event"], count.frames[OTHER]) == (5, 3, 2)
    assert sum(count.frames.values()) == count.size == 10


def test_unknown_types_add_no_label() -> None:
    count = FrameCounters().from_browser
    labels = set(count.frames)
    count.add("made up", 1)
    count.add("", 1)
    assert set(count.frames) == labels
    assert (count.frames[OTHER], count.size) == (2, 2)
