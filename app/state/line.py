"""The line before the store: so many calls at once, and the others wait their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

MAX_WAITING: Final = 10_000


class Line:
    """Places for `places` calls at a time; the rest wait in order, `MAX_WAITING` at most.

    Waiting is bounded by the calls ahead: each of them ends by its own deadline, and when one
    finds the store silent, `turn_away` ends the wait of everybody.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        """Take a place. Raises `TimeoutError` when the line is too long, or turned away."""
        if self._free > 0:
            self._free -= 1
            return
        if len(self._waiting) >= MAX_WAITING:
            raise TimeoutError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()  # the place came together with the cancellation
            raise

    def leave(self) -> None:
        """Give the place to whoever is next."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def turn_away(self) -> None:
        """Let nobody wait any longer: the store is silent."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(TimeoutError())
