"""The bag in memory, for results without a history: a few tries, bounded, gone with the process."""

from __future__ import annotations

import heapq
from itertools import count
from typing import TYPE_CHECKING

import structlog

from app.history.courier import Backoff, Letter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.history.conversation import Part
    from app.history.message import Message

log = structlog.get_logger(__name__)


class MemoryBag:
    """Implements the ports `Bag` and `Sink`: what the writer has written is what is carried.

    Holds up to `most` letters and `most_bytes`; the one that would be tried last goes first.
    Each is tried up to `tries` times. `on_message` is called when there is a new one,
    `on_dropped` with the number of letters that had to go.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        tries: int = 5,
        most: int = 10_000,
        most_bytes: int = 64 * 1024 * 1024,
        backoff: Backoff | None = None,
        on_message: Callable[[], None] | None = None,
        on_dropped: Callable[[int], None] | None = None,
    ) -> None:
        self._clock = clock
        self._tries = tries
        self._most = most
        self._most_bytes = most_bytes
        self._backoff = backoff or Backoff(1.0, 60.0)
        self.on_message = on_message
        self._on_dropped = on_dropped
        self._waiting: list[tuple[float, int, Letter]] = []
        self._claimed: dict[str, Letter] = {}
        self._bytes = 0
        self._order = count()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._claimed)

    async def open(self) -> None:
        """Be ready at once."""

    async def write(self, parts: Sequence[Part]) -> frozenset[str]:
        """Keep the messages; nothing else is kept without a history."""
        for part in parts:
            if part.message is not None:
                self._keep(part.message)
        if self.on_message is not None and self._waiting:
            self.on_message()
        return frozenset()

    async def claim(self, most: int) -> Sequence[Letter]:
        """Take letters that are due."""
        now = self._clock()
        letters: list[Letter] = []
        while self._waiting and len(letters) < most and self._waiting[0][0] <= now:
            _, _, waited = heapq.heappop(self._waiting)
            letter = Letter(waited.id, waited.body, waited.deadline, waited.attempts + 1)
            self._claimed[letter.id] = letter
            letters.append(letter)
        return letters

    async def delivered(self, letter: Letter) -> None:
        """Let go of it."""
        self._let_go(letter)

    async def failed(self, letter: Letter) -> bool:
        """Keep it for later, unless it was tried often enough or is too late."""
        due = self._clock() + self._backoff.after(letter.attempts)
        if letter.attempts >= self._tries or due >= letter.deadline:
            self._let_go(letter)
            log.error("result_given_up", message=letter.id, attempts=letter.attempts)
            return False
        self._claimed.pop(letter.id, None)
        self._push(due, letter)
        return True

    def abandon(self) -> None:
        """Let go of everything, loudly."""
        if len(self):
            self._drop(len(self))
        self._waiting.clear()
        self._claimed.clear()
        self._bytes = 0

    def recall(self) -> None:
        """Make everything due now, what was under way included: the last chance to go."""
        letters = [*self._claimed.values(), *(letter for _, _, letter in self._waiting)]
        self._claimed.clear()
        self._waiting.clear()
        for letter in letters:
            self._push(self._clock(), letter)

    def _keep(self, message: Message) -> None:
        letter = Letter(message.id, message.body, message.deadline, 0)
        self._bytes += len(letter.body)
        self._push(self._clock(), letter)
        dropped = 0
        while self._waiting and (len(self) > self._most or self._bytes > self._most_bytes):
            last = max(self._waiting)
            self._waiting.remove(last)
            heapq.heapify(self._waiting)
            self._bytes -= len(last[2].body)
            dropped += 1
        if dropped:
            self._drop(dropped)

    def _drop(self, letters: int) -> None:
        log.error("results_dropped", results=letters)
        if self._on_dropped is not None:
            self._on_dropped(letters)

    def _push(self, due: float, letter: Letter) -> None:
        heapq.heappush(self._waiting, (due, next(self._order), letter))

    def _let_go(self, letter: Letter) -> None:
        if self._claimed.pop(letter.id, None) is not None:
            self._bytes -= len(letter.body)
