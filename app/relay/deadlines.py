"""The deadlines of one conversation: a handful of timer handles, no task."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING, Final

from app.protocol import close_codes
from app.protocol.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.close_codes import CloseReason
    from app.relay.scope import Scope


CALL_NOT_ANSWERED: Final = (
    "The page did not answer the call: there is no microphone, or it was not allowed."
)


class SessionDeadlines:
    """Ends a conversation by `end` when something takes too long.

    `idle_for` gives the seconds of idle time that count.
    """

    __slots__ = (
        "_call_timer",
        "_close_timer",
        "_end",
        "_ends_at",
        "_expires_at",
        "_idle_for",
        "_initialize_timer",
        "_limits",
        "_loop",
        "_resume_timer",
        "_session",
        "_timer",
    )

    def __init__(
        self,
        scope: Scope,
        end: Callable[[CloseReason, str | None], None],
        idle_for: Callable[[], float],
    ) -> None:
        limits = scope.limits
        self._session = scope.session
        self._limits = limits
        self._expires_at = scope.conversation.principal.expires_at
        self._end = end
        self._idle_for = idle_for
        self._loop = asyncio.get_running_loop()
        self._resume_timer: asyncio.TimerHandle | None = None
        self._initialize_timer: asyncio.TimerHandle | None = None
        self._call_timer: asyncio.TimerHandle | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        duration = self._max_duration()
        self._ends_at = self._loop.time() + duration
        # One for idle time and duration: it looks at both, and is set anew.
        self._timer = self._loop.call_later(min(limits.idle_timeout, duration), self._check)

    def restart_duration(self) -> None:
        """Count the longest duration from now: the session has waited for upstream until now."""
        self._ends_at = self._loop.time() + self._max_duration()  # no earlier than before

    def start_initialize_timeout(self) -> None:
        """`initialize` was sent: the vendor has its time to say something."""
        self._initialize_timer = self._loop.call_later(
            self._limits.initialize_timeout, self._on_initialize_timeout
        )

    def start_close_timeout(self) -> None:
        """The end was announced: the vendor has a moment to close."""
        if self._close_timer is None:
            self._close_timer = self._loop.call_later(
                self._limits.end_grace, self._end, close_codes.ENDED, None
            )

    def sdp_exchanged(self) -> None:
        """An offer passed: the page has its time to answer. An answer passed: it has answered."""
        if self._session.call.answer is None:
            if self._call_timer is None:
                self._call_timer = self._loop.call_later(
                    self._limits.call_timeout,
                    self._end,
                    close_codes.IDLE,
                    CALL_NOT_ANSWERED,
                )
        elif self._call_timer is not None:
            self._call_timer.cancel()

    def start_resume_window(self, on_expired: Callable[[], None]) -> None:
        """The browser is gone: it has the window to come back, else `on_expired` is called."""
        if self._resume_timer is None:
            self._resume_timer = self._loop.call_later(
                self._limits.resume_window, self._resume_window_expired, on_expired
            )

    def cancel_resume_window(self) -> None:
        """The browser came back."""
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None

    def cancel(self) -> None:
        """The conversation is over."""
        for timer in (
            self._resume_timer,
            self._initialize_timer,
            self._call_timer,
            self._close_timer,
            self._timer,
        ):
            if timer is not None:
                timer.cancel()

    def _max_duration(self) -> float:
        """Seconds until the longest duration, or the credential, runs out."""
        if self._expires_at is None:
            return self._limits.max_session
        return max(0.0, min(self._limits.max_session, self._expires_at - time()))

    def _on_max_duration(self) -> None:
        if self._expires_at is not None and self._expires_at <= time() + 1:
            self._end(close_codes.UNAUTHENTICATED, "The credential has expired.")
        else:
            self._end(close_codes.MAX_DURATION, None)

    def _check(self) -> None:
        """End what has lasted too long or was idle for too long, or look again when it may be."""
        left = self._ends_at - self._loop.time()
        idle_left = self._limits.idle_timeout - self._idle_for()
        if left <= 0:
            self._on_max_duration()
        elif idle_left <= 0:
            self._end(close_codes.IDLE, None)
        else:
            self._timer = self._loop.call_later(min(left, idle_left), self._check)

    def _on_initialize_timeout(self) -> None:
        if self._session.phase is Phase.INITIALIZING:
            self._end(close_codes.UPSTREAM_TIMEOUT, None)

    def _resume_window_expired(self, on_expired: Callable[[], None]) -> None:
        self._resume_timer = None
        on_expired()
