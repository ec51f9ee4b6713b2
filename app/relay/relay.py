"""One conversation, top to bottom. Read `run` first.

The sockets call straight into `app/relay/dispatch.py`, where the session judges and its actions are
applied: no queue, no task and no lock lie between the two sockets.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from app.protocol import close_codes, frames
from app.protocol.actions import Publish, WantHuman
from app.protocol.errors import Refusal
from app.protocol.notices import notice_frames, notices_of
from app.protocol.principal import CallType
from app.relay.browser_life import BrowserLife
from app.relay.call_diagnostics import CallDiagnostics
from app.relay.control import SessionControl
from app.relay.deadlines import SessionDeadlines
from app.relay.dispatch import Dispatcher
from app.relay.opening import Opening
from app.relay.pages import Pages
from app.relay.parts import RelayParts
from app.relay.presence import REASONS_KEPT_FOR_RESUME, Presence
from app.relay.queueing import QueueWait
from app.relay.refusals import retry_after
from app.relay.scope import open_scope
from app.relay.session_frame import session_frame
from app.relay.upstream_opening import UpstreamOpening

if TYPE_CHECKING:
    from app.protocol.close_codes import CloseReason
    from app.protocol.initialize import ResolvedInitialize
    from app.relay.dependencies import Conversation, RelayDependencies, RelayLimits
    from app.websocket.interface import CloseEvent, Socket


class Relay:
    """One conversation's life: its opening, its two legs as they come and go, and its end."""

    def __init__(
        self, conversation: Conversation, dependencies: RelayDependencies, limits: RelayLimits
    ) -> None:
        self.pages: Pages | None = None  # of a chat that outlives its page
        self.control: SessionControl | None = None  # once a backend or the agent has asked for it
        self.call_type = conversation.profile.default_call_type
        self.scope = scope = open_scope(conversation, dependencies, limits)
        self.session = scope.session
        self.observer = scope.observer
        self._deadlines = SessionDeadlines(scope, self.end, self._counted_idle)
        self._diagnostics = CallDiagnostics(self.session, self.observer, self.now)
        self.dispatcher = Dispatcher(scope, self, self._deadlines, self._diagnostics, self.end)
        self.browser = self.dispatcher.browser
        self.upstream = self.dispatcher.upstream
        self.queue = QueueWait(conversation.place, self.browser, self.now)
        self._opening = Opening(scope, self.dispatcher.from_browser, self.browser)
        parts = RelayParts(scope, self.dispatcher, self._deadlines, self.queue, self.end)
        self._upstream_opening = UpstreamOpening(parts)
        self._presence = Presence(parts)
        self.attempt = 0  # the browser's newest to resume, as far as it counts them
        self.is_ending = False  # whether a reason to end is known
        self.ended_at = 0.0  # Unix seconds; 0 until both sides are closed
        self._ended: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()
        self._dialling: asyncio.Task[None] | None = None
        self._message: str | None = None
        self._retry_after: float | None = None
        if scope.guard is not None:
            scope.guard.end = self.end
        self.update_observed()

    def __repr__(self) -> str:
        browser, phase = self.browser_state, self.session.phase.name
        ending = ", ending" if self.is_ending else ""
        return f"<Relay {self.conversation.id}: {phase}, browser {browser}{ending}>"

    # Life cycle

    async def run(self) -> None:
        """Relay until either side or the gateway ends the conversation, then close both."""
        reason = close_codes.CRASHED
        try:
            reason = await self._converse()
        finally:
            self._stop()
            await self._hang_up(reason)

    async def _converse(self) -> CloseReason:
        """Resolve `initialize`, open upstream, and relay until the end."""
        try:
            resolved = await self._opening.resolve()
        except Refusal as refusal:
            self._message = refusal.message
            return refusal.reason
        if self.is_ending:
            return self._ended.result()
        self._send_session_event(resolved)
        async with asyncio.TaskGroup() as group:
            self.dispatcher.tools.group = group
            self._dialling = group.create_task(
                self._upstream_opening.run(resolved), name=f"dial:{self.conversation.id}"
            )
            self._dialling.add_done_callback(self._dialled)
            try:
                return await self._ended
            finally:
                if self._dialling is not None:
                    self._dialling.cancel()
                self.dispatcher.tools.cancel()

    def _dialled(self, _: asyncio.Task[None]) -> None:
        self._dialling = None  # a task that has ended holds its coroutine

    def _send_session_event(self, resolved: ResolvedInitialize) -> None:
        """Send `relay.session`, the first frame of every session."""
        conversation = self.conversation
        self.call_type = resolved.call_type
        self.dispatcher.tools.resolved(resolved)
        native = conversation.resume_token is not None
        if native and self.scope.limits.chat_keep > 0 and self.call_type is CallType.CHAT:
            self.pages = Pages(self)
            self.dispatcher.add_pages(self.pages)
            self.update_observed()
        self.browser.send_unnumbered(self.session_event(conversation.resume_token))
        self.observer.started(resolved)
        notices = notices_of(resolved)
        self.observer.told(notices)
        for told in notice_frames(notices, self.now(), conversation.id, native=native):
            self.browser.send_unnumbered(told)

    def session_event(self, token: str | None) -> bytes:
        """`relay.session` for a page that may resume by `token`."""
        return session_frame(self, token)

    def end(
        self, reason: CloseReason, message: str | None = None, retry_after: float | None = None
    ) -> None:
        """End the conversation; the first reason wins."""
        if not self.is_ending:
            self._stop()
            self._message, self._retry_after = message, retry_after
            self._opening.cancel()
            if not self._ended.done():  # it is, where the task that waits for it was cancelled
                self._ended.set_result(reason)

    def _stop(self) -> None:
        """Take no more frames of any page, and start no more tools."""
        self.is_ending = True
        self.dispatcher.stop()
        if self.pages is not None:
            self.pages.stop()

    async def _hang_up(self, reason: CloseReason) -> None:
        """Closes the browser, then upstream, then records metrics, log and history."""
        now = ended_at = self.now()
        wait = self._retry_after or retry_after(reason)
        told = frames.error(now, reason, self.conversation.id, self._message, wait)
        self.browser.start_closing(reason, told)
        if self.pages is not None:
            self.pages.start_closing(reason, told)
        self.dispatcher.apply(self.session.terminate(now), b"")
        self._deadlines.cancel()
        if self.control is not None:
            self.control.takeover.ended()
        if self.call_type is CallType.WEB_CALL:
            self._diagnostics.conversation_ended()
        self._diagnostics.cancel()
        try:
            await self.upstream.close(self.scope.limits.end_grace)
            if self.scope.guard is not None:
                await self.scope.guard.settled(self.scope.limits.end_grace)
            self.queue.release(keep_turn=reason is close_codes.DRAINING)
            self.session.close()
            ended_at = self.ended_at = self.now()
            if self._presence.may_come_back(reason):
                await self.browser.wait_closed(self.scope.resume_window)
            if self.pages is not None and reason in REASONS_KEPT_FOR_RESUME:
                window = 0.0 if self.session.hung_up else self.scope.resume_window
                await self.pages.wait_closed(window)
        finally:
            self.session.close()
            if self.scope.guard is not None:
                self.scope.guard.close()
            if self.pages is not None:
                self.pages.release()
            self.browser.detach()
            sent = self.session.outgoing.count
            self.observer.ended(self.call_type, reason, ended_at, (self.session.received, sent))

    # For the gateway

    @property
    def conversation(self) -> Conversation:
        """Who talks, and by which profile."""
        return self.scope.conversation

    def now(self) -> float:
        """Unix seconds that never jump."""
        return self.scope.now()

    @property
    def tools_running(self) -> int:
        """How many tool calls have no answer yet."""
        return self.dispatcher.tools.running

    @property
    def browser_state(self) -> str:
        """Whether any page is "here", all are "away", or there was "none" to begin with."""
        joined_here = self.pages is not None and self.pages.is_joined_page_here
        return (BrowserLife.CONNECTED if joined_here else self.browser.life).published

    @property
    def frames_received(self) -> int:
        """How many frames came from browsers."""
        return self.session.received + (0 if self.pages is None else self.pages.received)

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for browsers."""
        joined = 0 if self.pages is None else self.pages.buffered_bytes
        return self.browser.buffered_bytes + joined

    @property
    def idle_for(self) -> float:
        """Seconds since anything was said; none while the session waits for upstream."""
        return 0.0 if self.queue.is_waiting else monotonic() - self.dispatcher.last_activity

    def _counted_idle(self) -> float:
        """Seconds for the idle time-out: none while a chat is kept, which has its own bound."""
        kept = self.pages is not None and not self.pages.is_anyone_here
        return 0.0 if kept else self.idle_for

    @property
    def has_begun(self) -> bool:
        """Whether `relay.session` was sent."""
        return self.dispatcher.tools.group is not None

    def controlled(self) -> SessionControl:
        """What carries out the commands of backends and operators."""
        if self.control is None:
            self.control = SessionControl(self)
        return self.control

    def update_observed(self) -> None:
        """Recompute whether frames are observed: recorded, or subscribed to."""
        watched = bool(self.observer.subscribers.callbacks)
        recorded = self.scope.dependencies.recorder is not None
        self.dispatcher.set_observed(observed=watched or recorded or self.pages is not None)

    def stop_waiting_for_browser(self) -> None:
        """Wait no longer for a disconnected browser to come back for the closing handshake."""
        self.browser.stop_waiting_for_close()
        if self.pages is not None:
            self.pages.stop_waiting_for_close()

    def announce(self, payload: bytes) -> None:
        """Send every page one of the gateway's own frames, which has no number."""
        self.dispatcher.announce(payload)

    def resume(self, socket: Socket, received: int) -> None:
        """Take the browser's next socket: replay what it missed, or tell it that this is lost."""
        self._presence.resume(socket, received)

    # Events of the legs, the pages and the deadlines

    def on_control_action(self, action: Publish | WantHuman) -> None:
        """Carry out what concerns a person who speaks instead of the agent."""
        if isinstance(action, Publish):
            self.controlled().publish(action.payload)
        else:
            self.controlled().takeover.want(action.reason)

    def on_browser_writable(self, *, writable: bool) -> None:
        """The browser reads slowly, or has caught up."""
        self.dispatcher.backpressure.on_browser_writable(writable=writable)

    def on_upstream_writable(self, *, writable: bool) -> None:
        """The vendor reads slowly, or has caught up."""
        self.dispatcher.backpressure.on_upstream_writable(writable=writable)

    def on_browser_disconnected(self, reason: CloseReason | None) -> None:
        """The browser's socket is gone, for `reason` if that is known to be for good."""
        self.observer.browser("away", self.now())
        if not self.is_ending:
            self._presence.disconnected(reason)

    def on_upstream_disconnected(self, closed: CloseEvent) -> None:
        """The vendor's socket is gone: normal after an announced end, else a failure."""
        reason = self.session.upstream_lost(closed.code, self.now())
        if reason is not close_codes.ENDED and not self.is_ending:
            self.observer.upstream_lost(closed, self.session.phase)
        self._upstream_opening.initialized()
        self.end(reason)

    def terminated_by_page(self) -> None:
        """A joined page has sent `terminate` upstream: that ends it for all."""
        self.session.terminated_by_page()
        self._deadlines.start_close_timeout()

    def on_pages_changed(self) -> None:
        """A page came, went, or reads otherwise than before."""
        self.dispatcher.backpressure.update()
