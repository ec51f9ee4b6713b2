"""The queue: bounded, oldest first, every record accounted for; and never in a frame's way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from app.history.conversation import RecordedConversation
from app.history.errors import HistoryUnavailable
from app.history.queue import Bounds, RecordKind, RecordQueue
from app.history.recorder import QueueRecorder
from app.protocol.close_codes import ENDED
from tests.history.feed import DOWN, NOW, QUICK, UP, running, start, text, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.history.conversation import BatchPart


class Hole:
    """A sink that can be blocked, and remembers how many records it took."""

    def __init__(self) -> None:
        self.blocked = False
        self.parts: list[BatchPart] = []

    async def open(self) -> None:
        pass

    async def write(self, parts: Sequence[BatchPart]) -> frozenset[str]:
        if self.blocked:
            raise HistoryUnavailable("blocked")
        self.parts += parts
        return frozenset()


def conversation(name: str = "c") -> RecordedConversation:
    return RecordedConversation(start(name), content=True, transcript=None)


def test_the_oldest_goes_first_and_is_counted() -> None:
    queue = RecordQueue(Bounds(count=3))
    talk = conversation()
    for number in range(5):
        queue.put((RecordKind.FRAME, talk, 10, number))
    assert queue.dropped == {"frame": 2}
    assert talk.lost == 2
    assert [queue.take()[3] for _ in range(3)] == [2, 3, 4]


def test_the_bound_in_bytes_counts_what_is_being_written() -> None:
    queue = RecordQueue(Bounds(bytes=100))
    queue.put((RecordKind.FRAME, conversation(), 60))
    queue.take()
    queue.put((RecordKind.FRAME, conversation(), 30))
    queue.put((RecordKind.FRAME, conversation(), 30))
    assert (len(queue), queue.bytes, queue.dropped) == (1, 90, {"frame": 1})
    queue.let_go(1, 60)
    assert queue.bytes == 30


def test_an_end_is_not_pushed_out_by_frames() -> None:
    queue = RecordQueue(Bounds(count=3))
    queue.put((RecordKind.ENDED, conversation("a"), 10, "end"))
    for number in range(9):
        queue.put((RecordKind.FRAME, conversation("b"), 10, number))
    assert queue.dropped == {"frame": 6}
    assert queue.take()[3] == "end"


def test_a_start_that_was_pushed_out_is_made_up_for_or_falls_with_the_end() -> None:
    queue = RecordQueue(Bounds(count=1))
    kept, gone = conversation("a"), conversation("b")
    for talk in (kept, gone):
        queue.put((RecordKind.STARTED, talk, 10))
        queue.put((RecordKind.FRAME, talk, 10))
    assert (queue.owed, queue.dropped) == (2, {"frame": 1})
    assert queue.restore_start(kept)
    assert not queue.restore_start(kept)
    queue.let_go(1, 0)
    for talk in (gone, kept):
        queue.put((RecordKind.ENDED, talk, 10))
    queue.put((RecordKind.ENDED, conversation("c"), 10))
    assert (queue.owed, queue.dropped) == (0, {"frame": 2, "ended": 1, "started": 1})
    assert (kept.lost, gone.lost) == (1, 3)


def test_what_was_owed_at_the_end_is_lost() -> None:
    queue = RecordQueue(Bounds(count=1))
    talk = conversation()
    queue.put((RecordKind.STARTED, talk, 10))
    queue.put((RecordKind.FRAME, talk, 10))
    queue.drop_all()
    assert (queue.owed, queue.dropped, talk.lost) == (0, {"started": 1, "frame": 1}, 2)


async def test_a_frame_that_would_leave_no_row_is_no_loss() -> None:
    recorder = QueueRecorder(Bounds(count=1), time.monotonic, Hole())
    recorder.started(start("c"))
    recorder.frame("c", DOWN, NOW, b'{"type":"websocketToolRequest","content":{"id":"1"}}')
    recorder.frame("c", DOWN, NOW, text("user", "lost"))
    recorder.frame("c", DOWN, NOW, text("user", "kept"))
    counts = recorder.counts()
    assert (counts.dropped, counts.skipped, counts.waiting) == ({"frame": 1}, 1, 2)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*RecordKind, None]), st.integers(1, 50)), max_size=120))
def test_every_record_is_somewhere(steps: list[tuple[RecordKind | None, int]]) -> None:
    queue = RecordQueue(Bounds(count=8, bytes=200))
    fed: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    held: list[int] = []
    for number, (kind, size) in enumerate(steps):
        if kind is not None:
            queue.put((kind, conversation(str(number)), size))
            fed[kind] += 1
        elif queue:
            record = queue.take()
            taken[record[0]] += 1
            held.append(record[2])
            if len(held) > 3:
                queue.let_go(len(held), sum(held))
                held.clear()
    waiting: Counter[str] = Counter()
    queue.let_go(len(held), sum(held))
    left = queue.bytes
    while queue:
        record = queue.take()
        waiting[record[0]] += 1
        left -= record[2]
    waiting["started"] += queue.owed
    assert fed == taken + waiting + queue.dropped
    assert left == 0


async def test_a_blocked_sink_drops_within_the_bound_and_every_loss_is_told() -> None:
    hole, told = Hole(), list[int]()
    bounds = Bounds(count=100, batch=10, interval=0.01, slowest_retry=0.05, busy_rate=1e6)
    recorder = QueueRecorder(bounds, time.monotonic, hole, on_dropped=told.append)
    hole.blocked = True
    async with running(recorder):
        recorder.started(start("c"))
        for number in range(1000):
            recorder.frame("c", DOWN, NOW, text("user", str(number)))
            if number % 50 == 0:
                await asyncio.sleep(0.001)
        assert recorder.counts().waiting <= 100
        hole.blocked = False
        recorder.ended("c", ENDED, NOW)
    counts = recorder.counts()
    assert counts.dropped.total() == sum(told) >= 850
    assert counts.written.total() + counts.dropped.total() == 1002
    (end,) = [part.end for part in hole.parts if part.end]
    assert end is not None
    assert end["lost"] == counts.dropped.total()


async def test_a_sink_too_slow_for_a_whole_batch_gets_smaller_ones() -> None:
    class Slow(Hole):
        async def write(self, parts: Sequence[BatchPart]) -> frozenset[str]:
            if len(parts) > 3:
                raise HistoryUnavailable("TimeoutError")
            return await super().write(parts)

    recorder = QueueRecorder(QUICK, time.monotonic, Slow())
    for number in range(100):
        recorder.started(start(f"c{number}"))
    async with running(recorder):
        await until(lambda: recorder.counts().written["started"] == 100)
    assert recorder.counts().dropped.total() == 0


async def test_a_crash_of_the_sink_is_survived() -> None:
    class Broken(Hole):
        crashes = 3

        async def write(self, parts: Sequence[BatchPart]) -> frozenset[str]:
            if self.crashes:
                self.crashes -= 1
                raise ZeroDivisionError
            return await super().write(parts)

    recorder = QueueRecorder(QUICK, time.monotonic, Broken())
    async with running(recorder):
        recorder.started(start("c"))
        await until(lambda: recorder.counts().written["started"] == 1)


async def test_reading_frames_leaves_the_loop_to_the_conversations() -> None:
    bounds = Bounds(batch=5000, interval=0.01, busy_rate=1e6)
    recorder = QueueRecorder(bounds, time.monotonic, Hole())
    recorder.started(start("c"))
    for number in range(5000):
        recorder.frame("c", DOWN, NOW, text("user" if number % 2 else "assistant", "x" * 200))
    turns = 0
    async with running(recorder):
        while recorder.counts().written["frame"] < 5000:
            await asyncio.sleep(0)
            turns += 1
    # Some ten thousandths of a second of reading each: done at once, the loop would turn twice.
    assert turns > 20


async def test_what_is_reported_outside_a_conversation_goes_nowhere() -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Hole())
    recorder.frame("c", DOWN, NOW, text("user", "early"))
    recorder.started(start("c"))
    recorder.started(start("c", subject="somebody else"))
    recorder.ended("c", ENDED, NOW)
    recorder.frame("c", DOWN, NOW, text("user", "late"))
    recorder.ended("c", ENDED, NOW)
    assert recorder.counts().waiting == 2


async def test_a_browser_s_chat_message_takes_no_room() -> None:
    recorder = QueueRecorder(QUICK, time.monotonic, Hole())
    recorder.started(start("c"))
    for dump in (b'{"type":"incomingChatMessage"}', b'{"type": "incomingChatMessage"}'):
        recorder.frame("c", UP, NOW, dump)
    recorder.frame("c", UP, NOW, b'{"type":"terminate"}')
    assert recorder.counts().waiting == 2


async def test_a_process_without_time_to_spare_writes_at_a_modest_rate() -> None:
    bounds = Bounds(count=10**6, batch=100, interval=0.01, busy_rate=200.0)
    recorder = QueueRecorder(bounds, time.monotonic, Hole())
    recorder.started(start("c"))
    for _ in range(20_000):
        recorder.frame("c", DOWN, NOW, text("user", "x"))
    began = time.thread_time()
    async with running(recorder):
        while time.thread_time() - began < 2.0:  # the load itself is what is waited for
            burn = time.thread_time()
            while time.thread_time() - burn < 0.005:
                pass
            await asyncio.sleep(0)
        written = recorder.counts().written.total()
    assert written < 10_000
    assert recorder.counts().written.total() == 20_001
