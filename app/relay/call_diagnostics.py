"""Why a web call does not connect, as far as its descriptions tell: one line in the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.protocol.sdp import ANSWER_WITHIN, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.session import Session
    from app.relay.observer import ConversationObserver


class CallDiagnostics:
    """Looks at one conversation's call when there is something new, and says once what is wrong.

    `now` gives Unix seconds.
    """

    __slots__ = ("_answer_timer", "_now", "_observer", "_reported", "_session", "_started_at")

    def __init__(
        self, session: Session, observer: ConversationObserver, now: Callable[[], float]
    ) -> None:
        self._session = session
        self._observer = observer
        self._now = now
        self._started_at = now()
        self._reported = False
        self._answer_timer: asyncio.TimerHandle | None = None

    def sdp_exchanged(self) -> None:
        """An offer or an answer has passed."""
        if self._session.call.answer is None:
            if self._answer_timer is None:
                loop = asyncio.get_running_loop()
                self._answer_timer = loop.call_later(ANSWER_WITHIN, self._diagnose)
        else:
            self.cancel()
        self._diagnose()

    def conversation_ended(self) -> None:
        """The conversation is over. One that was left before an offer could come says nothing."""
        self.cancel()
        if self._session.call.offer is not None or self._now() - self._started_at > ANSWER_WITHIN:
            self._diagnose(ended=True)

    def cancel(self) -> None:
        """Wait for no answer."""
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _diagnose(self, *, ended: bool = False) -> None:
        call = self._session.call
        found = None if self._reported else diagnose(call, self._now(), ended=ended)
        if found is not None:
            self._reported = True
            self._observer.call_problem(found, call.answer)
