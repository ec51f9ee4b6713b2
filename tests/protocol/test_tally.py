"""Counting by a closed set of types."""

from __future__ import annotations

from app.protocol.frames import BROWSER_TYPES, OTHER, UPSTREAM_TYPES
from app.protocol.tally import Tally


def test_every_known_type_is_there_from_the_start() -> None:
    tally = Tally()
    assert set(tally.from_browser.frames) == BROWSER_TYPES | {OTHER}
    assert set(tally.from_upstream.frames) == UPSTREAM_TYPES | {OTHER}
    assert not any(tally.from_upstream.frames.values())


def test_frames_and_bytes_are_counted() -> None:
    count = Tally().from_upstream
    count.add("text", 10)
    count.add("text", 5)
    assert (count.frames["text"], count.size) == (2, 15)


def test_unknown_types_add_no_label() -> None:
    count = Tally().from_browser
    labels = set(count.frames)
    count.add("made up", 1)
    count.add("", 1)
    assert set(count.frames) == labels
    assert (count.frames[OTHER], count.size) == (2, 2)
