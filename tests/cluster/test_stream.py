"""The two ends of a bridge without Redis: every entry is carried by hand."""

from __future__ import annotations

import random
from collections import deque

import pytest

from app.cluster.stream import OVERHEAD, Entry, Item, ItemKind, ReliableStream, StreamBroken

WINDOW = 10_000


def pipe() -> ReliableStream:
    return ReliableStream(now=0.0, window=WINDOW, beat=1.0)


def frame(payload: bytes) -> Item:
    return Item(ItemKind.FRAME, payload)


def carry(source: ReliableStream, target: ReliableStream, now: float = 0.0) -> list[Item]:
    entries = source.entries(now)
    source.wrote(entries)
    items: list[Item] = []
    for entry in entries:
        got = target.take(entry.number, entry.fields, now)
        target.done(entry.number, sum(item.size for item in got))
        items += got
    return items


def test_items_arrive_in_order() -> None:
    a, b = pipe(), pipe()
    said = [frame(b"1"), Item(ItemKind.BINARY, b"9"), frame(b""), Item(ItemKind.CLOSE, b"[1000]")]
    for item in said:
        a.put(item)
    assert carry(a, b) == said


def test_first_entry_is_a_beat_at_once() -> None:
    a, b = pipe(), pipe()
    assert (carry(a, b), b.heard) == ([], True)
    assert not a.heard
    assert a.entries(0.5) == ()
    assert len(a.entries(1.0)) == 1


def test_what_is_not_confirmed_waits() -> None:
    a, b = pipe(), pipe()
    a.put(frame(b"x" * 100))
    carry(a, b)
    assert a.waiting == 100 + OVERHEAD
    carry(b, a)
    assert a.waiting == 0


def test_no_more_than_a_window_is_under_way() -> None:
    a, b = pipe(), pipe()
    for _ in range(100):
        a.put(frame(b"x" * 1000))
    entries = a.entries(0.0)
    assert sum(entry.size for entry in entries) <= WINDOW
    a.wrote(entries)
    assert a.entries(0.5) == ()
    assert a.waiting == 100 * (1000 + OVERHEAD)
    for entry in entries:
        b.take(entry.number, entry.fields, 0.0)
        b.done(entry.number, entry.size)
    carry(b, a)
    assert sum(entry.size for entry in a.entries(0.5)) > 0


def test_frame_larger_than_the_window_goes_alone() -> None:
    a, b = pipe(), pipe()
    a.put(frame(b"x" * 3 * WINDOW))
    a.put(frame(b"y"))
    assert [len(item.value) for item in carry(a, b)] == [3 * WINDOW]
    carry(b, a)
    assert [item.value for item in carry(a, b)] == [b"y"]


def test_two_full_pipes_confirm_each_other() -> None:
    a, b = pipe(), pipe()
    for _ in range(50):
        a.put(frame(b"x" * 1000))
        b.put(frame(b"y" * 1000))
    there: list[Item] = []
    back: list[Item] = []
    for turn in range(100):
        there += carry(a, b, turn * 0.1)
        back += carry(b, a, turn * 0.1)
    assert (len(there), len(back)) == (50, 50)
    assert (a.waiting, b.waiting) == (0, 0)


def test_entry_is_offered_until_it_is_written() -> None:
    a, b = pipe(), pipe()
    a.put(frame(b"1"))
    first = a.entries(0.0)
    a.put(frame(b"2"))
    again = a.entries(0.1)
    assert again[: len(first)] == first
    a.wrote(again)
    assert a.idle
    assert [i.value for e in again for i in b.take(e.number, e.fields, 0.0)] == [b"1", b"2"]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_missing_or_repeated_entry_breaks_the_pipe(number: int) -> None:
    b = pipe()
    b.take(1, (b"a", b"0"), 0.0)
    with pytest.raises(StreamBroken):
        b.take(number, (b"a", b"0"), 0.0)


@pytest.mark.parametrize("fields", [(b"a", b"x"), (b"?", b"")])
def test_unreadable_entry_breaks_the_pipe(fields: tuple[bytes, ...]) -> None:
    with pytest.raises(StreamBroken):
        pipe().take(1, fields, 0.0)


def test_dropped_items_no_longer_wait() -> None:
    a, b = pipe(), pipe()
    for _ in range(50):
        a.put(frame(b"x" * 1000))
    first = carry(a, b)
    a.drop()
    a.put(Item(ItemKind.ABORT))
    carry(b, a)
    assert carry(a, b, 0.1) == [Item(ItemKind.ABORT)]
    carry(b, a, 2.0)
    assert a.waiting == 0
    assert 0 < len(first) < 50


def test_confirmed_entries_are_trimmed() -> None:
    a, b = pipe(), pipe()
    assert a.evict() == 1
    a.put(frame(b"1"))
    carry(a, b)
    assert a.evict() is None
    carry(b, a)
    assert a.evict() == 2
    assert a.evict() is None


def test_idle_pipes_speak_once_a_beat_and_hold_next_to_nothing() -> None:
    a, b = pipe(), pipe()
    spoken = 0
    for tenth in range(1000):
        for source, target in ((a, b), (b, a)):
            if source.due(tenth / 10):
                carry(source, target, tenth / 10)
                spoken += 1
    assert 190 <= spoken <= 210
    kept_from = a.evict()
    assert kept_from is not None
    assert kept_from >= spoken / 2 - 3


class Traffic:
    """Two ends, and the streams between them, which behave as Redis does."""

    def __init__(self) -> None:
        self.ends = (pipe(), pipe())
        self.said: tuple[list[Item], list[Item]] = ([], [])
        self.heard: tuple[list[Item], list[Item]] = ([], [])
        self.streams: tuple[deque[Entry], deque[Entry]] = (deque(), deque())
        self.tops = [0, 0]

    def say(self, me: int, item: Item) -> None:
        self.ends[me].put(item)
        self.said[me].append(item)

    def write(self, me: int, now: float, *, at_most: int | None = None, known: bool = True) -> None:
        """Write entries, perhaps not all; `known` unless the answer of Redis was lost."""
        entries = self.ends[me].entries(now)[:at_most]
        for entry in entries:
            if entry.number > self.tops[me]:
                self.streams[me].append(entry)
                self.tops[me] = entry.number
        if known:
            self.ends[me].wrote(entries)

    def read(self, me: int, now: float) -> None:
        """Let the other end read one entry."""
        if self.streams[me]:
            entry = self.streams[me].popleft()
            got = self.ends[1 - me].take(entry.number, entry.fields, now)
            self.ends[1 - me].done(entry.number, sum(item.size for item in got))
            self.heard[1 - me].extend(got)


@pytest.mark.parametrize("seed", range(20))
def test_random_traffic_arrives_exactly_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    traffic = Traffic()
    now = 0.0
    for turn in range(3000):
        now += chance.random() * 0.1
        me = chance.randrange(2)
        act = chance.random()
        if act < 0.4 and turn < 2000:
            traffic.say(me, frame(b"%d" % turn + b"x" * chance.choice((0, 5, 500, 20_000))))
        elif act < 0.7:
            at_most = None if chance.random() < 0.7 else chance.randrange(3)
            traffic.write(me, now, at_most=at_most, known=chance.random() < 0.8)
        else:
            traffic.read(me, now)
        assert sum(entry.size for entry in traffic.streams[me]) <= 20_100
    for _ in range(400):
        now += 0.5
        for me in (0, 1):
            traffic.write(me, now)
            while traffic.streams[me]:
                traffic.read(me, now)
    assert traffic.heard == (traffic.said[1], traffic.said[0])
    assert (traffic.ends[0].waiting, traffic.ends[1].waiting) == (0, 0)
