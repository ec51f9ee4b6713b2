"""Limits how many calls use the store at once; the others wait in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

MAX_WAITERS: Final = 10_000


class ConcurrencyLimit:
    """Slots for `places` calls at a time; the rest wait in order, `MAX_WAITERS` at most.

    Waiting is bounded by the calls ahead: each of them ends by its own deadline, and when one
    finds the store silent, `reject_waiters` ends all waits.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Take a slot. Raises `TimeoutError` when too many wait, or waiters are rejected."""
        if self._free > 0:
            self._free -= 1
            return
        if len(self._waiting) >= MAX_WAITERS:
            raise TimeoutError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release()  # the slot came together with the cancellation
            raise

    def release(self) -> None:
        """Give the slot to the next waiter."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def reject_waiters(self) -> None:
        """Fail all waiters with `TimeoutError`: the store is silent."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(TimeoutError())
