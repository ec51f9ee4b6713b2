"""Before the vendor is dialled: whose `initialize` it is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.protocol import frames
from app.protocol.close_codes import BAD_FRAMES, IDLE
from app.protocol.errors import Refusal
from app.protocol.initialize import resolve_initialize

if TYPE_CHECKING:
    from app.protocol.initialize import ResolvedInitialize
    from app.relay.browser_leg import BrowserLeg
    from app.relay.frame_handlers import BrowserFrames
    from app.relay.scope import Scope

BEFORE_INITIALIZE: Final = (
    "Init message not received: send initialize first. What is sent before it waits until then."
)


class Opening:
    """Waits, bounded, for an `initialize` of the browser's own, where one may come."""

    def __init__(self, scope: Scope, received: BrowserFrames, browser: BrowserLeg) -> None:
        self._conversation = scope.conversation
        self._session = scope.session
        self._now = scope.now
        self._received = received
        self._browser = browser
        self._first_frame: asyncio.Future[None] | None = None

    async def resolve(self) -> ResolvedInitialize:
        """Return what the vendor is to be sent. Raises `Refusal` where a browser's is missing."""
        conversation, session = self._conversation, self._session
        if (
            conversation.initialize_wait > 0
            and session.client_initialize is None
            and not self._received.is_ending
        ):
            if conversation.initialize_required and session.received:
                self._tell_missing()  # it came before this waited
            silent = await self._wait(conversation.initialize_wait)
            if silent and conversation.initialize_required and not self._received.is_ending:
                raise Refusal(IDLE, "Init message not received")
        options = conversation.client_options.merged_with(session.client_initialize)
        return resolve_initialize(conversation.profile, conversation.principal, options)

    def cancel(self) -> None:
        """Wait no longer: the conversation ends."""
        if self._first_frame is not None and not self._first_frame.done():
            self._first_frame.set_result(None)

    async def _wait(self, seconds: float) -> bool:
        """Wait for the browser's `initialize` or the end; whether neither came in time."""
        loop = asyncio.get_running_loop()
        self._first_frame = loop.create_future()
        self._received.on_first_frame = self._on_first_frame
        timer = loop.call_later(seconds, self._first_frame.cancel)
        try:
            await asyncio.wait((self._first_frame,))
            return self._first_frame.cancelled()
        finally:
            timer.cancel()
            self._received.on_first_frame = self._first_frame = None

    def _on_first_frame(self) -> None:
        """Take the first browser frame: it is the browser's `initialize`, or there is none."""
        session = self._session
        if not self._conversation.initialize_required or session.client_initialize is not None:
            self.cancel()
        elif session.received == 1:
            self._tell_missing()

    def _tell_missing(self) -> None:
        """Answer what came before `initialize`, once; it waits until then."""
        told = frames.error(self._now(), BAD_FRAMES, self._conversation.id, BEFORE_INITIALIZE)
        self._browser.send(told)
