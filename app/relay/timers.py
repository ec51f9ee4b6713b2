"""The deadlines of one conversation: a handful of timer handles, no task."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING

from app.protocol import closing
from app.protocol.phases import Phase

if TYPE_CHECKING:
    from app.relay.conversation import RelayLimits
    from app.relay.relay import Relay


class Timers:
    """Ends its relay when something takes too long."""

    __slots__ = (
        "_away",
        "_finishing",
        "_idle",
        "_limits",
        "_loop",
        "_opening",
        "_over",
        "_relay",
    )

    def __init__(self, relay: Relay, limits: RelayLimits) -> None:
        self._relay = relay
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._away: asyncio.TimerHandle | None = None
        self._opening: asyncio.TimerHandle | None = None
        self._finishing: asyncio.TimerHandle | None = None
        self._idle = self._loop.call_later(limits.idle_timeout, self._look)
        self._over = self._loop.call_later(self._longest(), self._expire)

    def opened(self) -> None:
        """`initialize` was sent: the vendor has its time to say something."""
        self._opening = self._loop.call_later(self._limits.initialize_timeout, self._unheard)

    def finishing(self) -> None:
        """The end was announced: the vendor has a moment to close."""
        if self._finishing is None:
            self._finishing = self._loop.call_later(
                self._limits.end_grace, self._relay.end, closing.ENDED
            )

    def away(self) -> None:
        """The browser is gone: it has the window to come back."""
        if self._away is None:
            self._away = self._loop.call_later(self._relay.window, self._gone)

    def back(self) -> None:
        """The browser came back."""
        if self._away is not None:
            self._away.cancel()
            self._away = None

    def cancel(self) -> None:
        """The conversation is over."""
        for timer in (self._away, self._opening, self._finishing, self._idle, self._over):
            if timer is not None:
                timer.cancel()

    def _longest(self) -> float:
        """Seconds until the longest duration, or the credential, runs out."""
        expires = self._relay.conversation.principal.expires_at
        if expires is None:
            return self._limits.max_session
        return max(0.0, min(self._limits.max_session, expires - time()))

    def _expire(self) -> None:
        expires = self._relay.conversation.principal.expires_at
        if expires is not None and expires <= time() + 1:
            self._relay.end(closing.UNAUTHENTICATED, "The credential has expired.")
        else:
            self._relay.end(closing.MAX_DURATION)

    def _look(self) -> None:
        left = self._limits.idle_timeout - self._relay.idle_for
        if left <= 0:
            self._relay.end(closing.IDLE)
        else:
            self._idle = self._loop.call_later(left, self._look)

    def _unheard(self) -> None:
        if self._relay.session.phase is Phase.OPENING:
            self._relay.end(closing.UPSTREAM_TIMEOUT)

    def _gone(self) -> None:
        self._away = None
        self._relay.browser_gone()
