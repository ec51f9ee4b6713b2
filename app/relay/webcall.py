"""Why a web call does not connect, as far as its descriptions tell: one line in the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.protocol.sdp import ANSWER_WITHIN, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.session import Session
    from app.relay.books import Books


class WebCall:
    """Looks at one conversation's call when there is something new, and says once what is wrong.

    `now` gives Unix seconds.
    """

    __slots__ = ("_began", "_books", "_now", "_session", "_told", "_waiting")

    def __init__(self, session: Session, books: Books, now: Callable[[], float]) -> None:
        self._session = session
        self._books = books
        self._now = now
        self._began = now()
        self._told = False
        self._waiting: asyncio.TimerHandle | None = None

    def described(self) -> None:
        """An offer or an answer has passed."""
        if self._session.call.answer is None:
            if self._waiting is None:
                loop = asyncio.get_running_loop()
                self._waiting = loop.call_later(ANSWER_WITHIN, self._look)
        else:
            self.cancel()
        self._look()

    def ended(self) -> None:
        """The conversation is over. One that was left before an offer could come says nothing."""
        self.cancel()
        if self._session.call.offer is not None or self._now() - self._began > ANSWER_WITHIN:
            self._look(ended=True)

    def cancel(self) -> None:
        """Wait for no answer."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _look(self, *, ended: bool = False) -> None:
        call = self._session.call
        found = None if self._told else diagnose(call, self._now(), ended=ended)
        if found is not None:
            self._told = True
            self._books.call_problem(found, call.answer)
