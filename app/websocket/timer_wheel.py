"""A timer wheel: deadlines of many sockets on few event-loop timers."""

from __future__ import annotations

import heapq
from asyncio import get_running_loop
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

NEVER = -1


class TimerTarget(Protocol):
    """Something with a deadline."""

    def on_timeout(self) -> None:
        """Act; a new deadline may be set from here."""
        ...


class TimerWheel:
    """A timing wheel: what falls due within one `tick` (seconds) shares a timer.

    An idle session then costs an entry in a set instead of a timer of the loop. A deadline may
    come up to a tick early, never late by more than the loop is. The timer lives on the loop
    that runs when the first deadline is set, and only while there is a deadline.
    """

    __slots__ = ("_handle", "_loop", "_order", "_slots", "_spread", "_tick", "_turned")

    def __init__(self, tick: float = 0.05) -> None:
        self._tick = tick
        self._slots: dict[int, set[TimerTarget]] = {}
        self._order: list[int] = []
        self._handle: TimerHandle | None = None
        self._loop: AbstractEventLoop | None = None
        self._spread = 0.0
        self._turned = 0  # the last slot that fell due

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def add(self, timed: TimerTarget, delay: float) -> int:
        """Call `timed` after `delay` seconds. Returns the slot, by which it is removed."""
        if self._loop is None:
            self._loop = get_running_loop()  # once: Python 3.11 asks the kernel each time
        loop = self._loop
        slot = max(int((loop.time() + delay) / self._tick), self._turned + 1)
        waiting = self._slots.get(slot)
        if waiting is not None:
            waiting.add(timed)
            return slot
        self._slots[slot] = {timed}
        heapq.heappush(self._order, slot)
        if self._order[0] == slot:
            self._arm(loop)
        return slot

    def remove(self, timed: TimerTarget, slot: int) -> None:
        """Forget a deadline; one that is not there is fine."""
        waiting = self._slots.get(slot)
        if waiting is None:
            return
        waiting.discard(timed)
        if not waiting:
            del self._slots[slot]
            if not self._slots:
                self._order.clear()
                self._disarm()

    def jitter(self) -> float:
        """Give the next of a series of fractions that fills [0, 1) evenly.

        Sockets that were opened in one instant (a reconnect storm) must not ping in one instant.
        """
        self._spread = (self._spread + 0.6180339887) % 1
        return self._spread

    def _arm(self, loop: AbstractEventLoop) -> None:
        self._disarm()
        self._handle = loop.call_at(self._order[0] * self._tick, self._turn, loop)

    def _disarm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self, loop: AbstractEventLoop) -> None:
        self._handle = None
        # uvloop's timers count whole milliseconds and may fire within one of them.
        self._turned = now = int((loop.time() + 0.001) / self._tick)
        while self._order and self._order[0] <= now:
            slot = heapq.heappop(self._order)
            waiting = self._slots.get(slot)
            # One by one: what one of them does may take another's deadline away.
            while waiting:
                waiting.pop().on_timeout()
            self._slots.pop(slot, None)
        if self._order:
            self._arm(loop)
