"""Deadlines on few timers, and a rate with a burst."""

from __future__ import annotations

import asyncio

from app.wire.rate import TokenBucket
from app.wire.wheel import Wheel
from tests.support.waiting import until
from tests.wire.peers import PATIENCE


class Item:
    """Writes down that its time has come, and may do something then."""

    def __init__(self, log: list[Item], act: object = None) -> None:
        self.log = log
        self.act = act
        self.passed = asyncio.Event()

    def deadline_passed(self) -> None:
        self.log.append(self)
        self.passed.set()
        if callable(self.act):
            self.act()


async def wait(item: Item) -> None:
    async with asyncio.timeout(PATIENCE):
        await item.passed.wait()


async def test_deadlines_pass_in_order() -> None:
    wheel, log = Wheel(0.01), []
    late, soon, middle = Item(log), Item(log), Item(log)
    wheel.add(late, 0.15)
    wheel.add(soon, 0.03)
    wheel.add(middle, 0.09)
    assert len(wheel) == 3
    await wait(late)
    assert log == [soon, middle, late]
    assert len(wheel) == 0


async def test_what_is_removed_does_not_pass() -> None:
    wheel, log = Wheel(0.01), []
    gone, stays = Item(log), Item(log)
    slot = wheel.add(gone, 0.05)
    wheel.add(stays, 0.08)
    wheel.remove(gone, slot)
    wheel.remove(gone, slot)
    await wait(stays)
    assert log == [stays]


async def test_an_empty_wheel_has_no_timer() -> None:
    wheel, log = Wheel(0.01), []
    item = Item(log)
    wheel.remove(item, wheel.add(item, 5))
    assert len(wheel) == 0
    assert wheel._handle is None
    again = Item(log)
    wheel.add(again, 0.02)
    await wait(again)
    assert wheel._handle is None


async def test_one_deadline_may_take_another_of_the_same_moment_away() -> None:
    wheel, log = Wheel(0.05), []
    slots: dict[Item, int] = {}

    def take_others() -> None:
        for item, slot in slots.items():
            wheel.remove(item, slot)

    items = [Item(log, take_others) for _ in range(3)]
    slots.update({item: wheel.add(item, 0.1) for item in items})
    last = Item(log)
    wheel.add(last, 0.3)
    await wait(last)
    assert len(log) == 2


async def test_a_deadline_may_set_the_next() -> None:
    wheel, log = Wheel(0.01), []
    item = Item(log)
    item.act = lambda: wheel.add(item, 0) if len(log) < 3 else None
    wheel.add(item, 0.01)
    await until(lambda: len(log) == 3)
    assert len(wheel) == 0


def test_the_spread_is_even() -> None:
    wheel = Wheel()
    tenths = [0] * 10
    for _ in range(1000):
        tenths[int(wheel.spread() * 10)] += 1
    assert min(tenths) > 90


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(100.4) is False
    assert bucket.take(100.5) is True
    assert [bucket.take(1000) for _ in range(4)] == [True, True, True, False]
