"""Deadlines on few timers."""

from __future__ import annotations

import asyncio

from app.websocket.timer_wheel import TimerWheel
from tests.support.waiting import until
from tests.websocket.peers import PATIENCE


class Item:
    """Writes down that its time has come, and may do something then."""

    def __init__(self, log: list[Item], act: object = None) -> None:
        self.log = log
        self.act = act
        self.passed = asyncio.Event()

    def on_timeout(self) -> None:
        self.log.append(self)
        self.passed.set()
        if callable(self.act):
            self.act()


async def wait(item: Item) -> None:
    async with asyncio.timeout(PATIENCE):
        await item.passed.wait()


async def test_deadlines_pass_in_order() -> None:
    timer_wheel = TimerWheel(0.01)
    log: list[Item] = []
    late, soon, middle = Item(log), Item(log), Item(log)
    timer_wheel.add(late, 0.15)
    timer_wheel.add(soon, 0.03)
    timer_wheel.add(middle, 0.09)
    assert len(timer_wheel) == 3
    await wait(late)
    assert log == [soon, middle, late]
    assert len(timer_wheel) == 0


async def test_what_is_removed_does_not_pass() -> None:
    timer_wheel = TimerWheel(0.01)
    log: list[Item] = []
    gone, stays = Item(log), Item(log)
    slot = timer_wheel.add(gone, 0.05)
    timer_wheel.add(stays, 0.08)
    timer_wheel.remove(gone, slot)
    timer_wheel.remove(gone, slot)
    await wait(stays)
    assert log == [stays]


async def test_an_empty_wheel_has_no_timer() -> None:
    timer_wheel = TimerWheel(0.01)
    log: list[Item] = []
    item = Item(log)
    timer_wheel.remove(item, timer_wheel.add(item, 5))
    assert len(timer_wheel) == 0
    assert timer_wheel._handle is None
    again = Item(log)
    timer_wheel.add(again, 0.02)
    await wait(again)
    assert timer_wheel._handle is None


async def test_one_deadline_may_take_another_of_the_same_moment_away() -> None:
    timer_wheel = TimerWheel(0.05)
    log: list[Item] = []
    slots: dict[Item, int] = {}

    def take_others() -> None:
        for item, slot in slots.items():
            timer_wheel.remove(item, slot)

    items = [Item(log, take_others) for _ in range(3)]
    slots.update({item: timer_wheel.add(item, 0.1) for item in items})
    last = Item(log)
    timer_wheel.add(last, 0.3)
    await wait(last)
    assert len(log) == 2


async def test_a_deadline_may_set_the_next() -> None:
    timer_wheel = TimerWheel(0.01)
    log: list[Item] = []
    item = Item(log)
    item.act = lambda: timer_wheel.add(item, 0) if len(log) < 3 else None
    timer_wheel.add(item, 0.01)
    await until(lambda: len(log) == 3)
    assert len(timer_wheel) == 0


async def test_a_deadline_that_sets_the_next_at_once_falls_due_in_a_later_turn() -> None:
    timer_wheel = TimerWheel(10.0)  # so long that both fall due within one turn
    log: list[Item] = []
    slots: list[int] = []
    item = Item(log)

    def again() -> None:
        if not slots:
            slots.append(timer_wheel.add(item, 0))

    item.act = again
    timer_wheel.add(item, 0)
    timer_wheel._turn(asyncio.get_running_loop())
    assert slots == [timer_wheel._turned + 1]
    timer_wheel.remove(item, slots[0])


def test_the_spread_is_even() -> None:
    timer_wheel = TimerWheel()
    tenths = [0] * 10
    for _ in range(1000):
        tenths[int(timer_wheel.jitter() * 10)] += 1
    assert min(tenths) > 90
