"""What is kept for a browser that may come back."""

from __future__ import annotations

from app.protocol.replay_buffer import ReplayBuffer


def filled(*payloads: bytes, limit: int | None = 100) -> ReplayBuffer:
    kept = ReplayBuffer(limit)
    for payload in payloads:
        kept.append(payload)
    return kept


def test_frames_after_a_number_come_again_in_order() -> None:
    kept = filled(b"a", b"b", b"c")
    assert kept.after(0) == [b"a", b"b", b"c"]
    assert kept.after(2) == [b"c"]
    assert kept.after(3) == []


def test_frames_that_were_never_sent_cannot_be_missed() -> None:
    kept = filled(b"a")
    assert kept.after(2) is None
    assert kept.after(-1) is None


def test_confirmed_frames_are_let_go() -> None:
    kept = filled(b"aa", b"bbb", b"c")
    assert kept.ack(2)
    assert (kept.size, kept.count, kept.acked) == (1, 3, 2)
    assert kept.after(2) == [b"c"]
    assert kept.after(1) is None


def test_confirming_less_than_before_changes_nothing() -> None:
    kept = filled(b"a", b"b")
    assert kept.ack(2)
    assert kept.ack(1)
    assert kept.ack(2)
    assert (kept.acked, kept.size) == (2, 0)


def test_confirming_what_was_not_sent_is_refused() -> None:
    kept = filled(b"a")
    assert not kept.ack(2)
    assert not kept.ack(-1)
    assert kept.after(0) == [b"a"]


def test_buffer_is_full_at_its_limit() -> None:
    kept = filled(b"12345", limit=10)
    assert not kept.is_full
    kept.append(b"67890")
    assert kept.is_full


def test_trimming_lets_the_oldest_go_past_the_limit() -> None:
    kept = filled(b"12345", b"67890", b"abc", limit=10)
    kept.evict()
    assert kept.size == 8
    assert kept.after(1) == [b"67890", b"abc"]
    assert kept.after(0) is None


def test_trimming_within_the_limit_keeps_everything() -> None:
    kept = filled(b"12345", limit=10)
    kept.evict()
    assert kept.after(0) == [b"12345"]


def test_confirming_what_was_trimmed_is_fine() -> None:
    kept = filled(b"12345", b"67890", b"abc", limit=5)
    kept.evict()
    assert kept.ack(1)
    assert kept.after(2) == [b"abc"]


def test_held_frames_stay_in_order_while_many_come_and_go() -> None:
    kept = ReplayBuffer(10_000)
    for number in range(1, 1_001):
        kept.append(b"%d" % number)
        if number % 7 == 0:
            assert kept.ack(number - 300 if number > 300 else 0)
    held = [b"%d" % number for number in range(kept.acked + 1, 1_001)]
    assert kept.after(kept.acked) == held
    assert kept.after(998) == [b"999", b"1000"]
    assert kept.size == sum(map(len, held))
    assert kept.ack(1_000)
    assert (kept.size, kept.after(1_000), kept.after(999)) == (0, [], None)


def test_a_number_beyond_all_is_refused() -> None:
    assert not filled(b"a").ack(1 << 64)
    assert not filled(b"a").ack(-(1 << 64))


def test_without_a_limit_frames_are_counted_and_not_kept() -> None:
    kept = filled(b"a", b"b", limit=None)
    assert (kept.count, kept.size, kept.is_full) == (2, 0, False)
    kept.evict()
    assert kept.ack(1)
    assert kept.after(1) is None
    assert kept.after(2) == []


def test_a_browser_that_is_not_expected_back_costs_nothing_more() -> None:
    kept = filled(b"a" * 60, b"b" * 60)
    kept.release()
    kept.append(b"c")
    assert (kept.count, kept.size, kept.is_full) == (3, 0, False)
