"""Frames that come before upstream is ready keep their order and their bounds."""

from __future__ import annotations

from app.protocol.early_frames import MAX_EARLY_BYTES, MAX_EARLY_FRAMES, EarlyFrames


def test_frames_are_taken_once_and_in_order() -> None:
    early = EarlyFrames()
    assert early.add(b"one")
    assert early.add(b"two")
    assert early.take() == [b"one", b"two"]
    assert early.take() == []


def test_number_of_frames_is_bounded_until_they_are_taken() -> None:
    early = EarlyFrames()
    assert all(early.add(b"") for _ in range(MAX_EARLY_FRAMES))
    assert not early.add(b"")
    assert len(early.take()) == MAX_EARLY_FRAMES
    assert early.add(b"")


def test_bytes_are_bounded_and_a_frame_beyond_them_leaves_what_is_kept() -> None:
    early = EarlyFrames()
    assert early.add(b"x" * (MAX_EARLY_BYTES - 1))
    assert not early.add(b"xx")
    assert early.add(b"x")
    assert sum(map(len, early.take())) == MAX_EARLY_BYTES
    assert early.add(b"x" * MAX_EARLY_BYTES)
