"""What comes twice is known as long as so many others have not come after it."""

from __future__ import annotations

from app.cluster.recent_ids import RecentIds


def test_id_is_new_once() -> None:
    ids = RecentIds(3)
    assert [ids.is_new(each) for each in "abcab"] == [True, True, True, False, False]


def test_oldest_is_forgotten_first() -> None:
    ids = RecentIds(2)
    assert [ids.is_new(each) for each in "abcba"] == [True, True, True, False, True]
