from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.protocol.kept_events import MAX_KEPT, KeptEvents
from app.protocol.replay_buffer import ReplayBuffer


def test_events_come_where_they_were_sent() -> None:
    kept = KeptEvents()
    kept.append(0, b"a")
    kept.append(2, b"b")
    kept.append(2, b"c")
    assert kept.merged(0, [b"1", b"2", b"3"]) == [b"a", b"1", b"2", b"b", b"c", b"3"]
    assert kept.merged(2, [b"3"]) == [b"b", b"c", b"3"]
    assert kept.merged(3, []) == []


def test_what_the_page_has_confirmed_beyond_is_let_go() -> None:
    kept = KeptEvents()
    kept.append(1, b"one")
    kept.append(2, b"two")
    kept.acknowledge(2)
    assert kept.size == 3, "whether it has the event behind the confirmed frame is not known"
    assert kept.merged(2, []) == [b"two"]
    kept.acknowledge(3)
    assert kept.size == 0
    kept.acknowledge(4)


def test_oldest_give_way_and_the_newest_stays() -> None:
    kept = KeptEvents()
    kept.append(1, b"old")
    kept.append(1, b"x" * (MAX_KEPT + 1))
    assert kept.merged(1, []) == [b"x" * (MAX_KEPT + 1)]


@given(st.lists(st.booleans()), st.data())
def test_resumed_page_misses_nothing_and_keeps_the_order(
    counted: list[bool], data: st.DataObject
) -> None:
    """Whatever part of a stream it has, and whatever of that it has confirmed."""
    frames, kept = ReplayBuffer(1 << 20), KeptEvents()
    stream = [b"%d" % number for number in range(len(counted))]
    has = data.draw(st.integers(0, len(stream)))
    received = sum(counted[:has])
    for payload, is_counted in zip(stream, counted, strict=True):
        if is_counted:
            frames.append(payload)
        else:
            kept.append(frames.count, payload)
    confirmed = data.draw(st.integers(0, received))
    frames.ack(confirmed)
    kept.acknowledge(confirmed)
    missed = frames.after(received)
    assert missed is not None
    again = kept.merged(received, missed)
    assert again[len(again) - len(stream[has:]) :] == stream[has:]
    assert [p for p, c in zip(stream[has:], counted[has:], strict=True) if c] == missed
