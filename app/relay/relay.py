"""One conversation, top to bottom. Read `run` first.

The sockets call straight into the relay, the session judges, the relay applies its actions: no
queue, no task and no lock lie between the two sockets.
"""

from __future__ import annotations

import asyncio
from time import monotonic, time
from typing import TYPE_CHECKING

from app.protocol import close_codes, frames
from app.protocol.actions import (
    Acked,
    Action,
    Actions,
    Announce,
    AwaitBrowserTool,
    AwaitUpstreamClose,
    Count,
    End,
    Forward,
    RunTool,
    SdpExchanged,
    ToBrowser,
    ToolSettled,
    ToUpstream,
    VendorRefused,
)
from app.protocol.errors import Refusal, UpstreamError
from app.protocol.initialize import resolve_initialize
from app.protocol.notices import notice_frames, notices_of
from app.protocol.phases import Phase
from app.protocol.principal import CallType
from app.protocol.rate_limit import TokenBucket
from app.protocol.replay_buffer import ReplayBuffer
from app.protocol.session import Session
from app.relay.browser_leg import BrowserLeg, retry_after
from app.relay.call_diagnostics import CallDiagnostics
from app.relay.deadlines import SessionDeadlines
from app.relay.observer import UNKNOWN, ConversationObserver
from app.relay.pages import Pages
from app.relay.queueing import QueueWait
from app.relay.tool_calls import ToolCalls
from app.relay.upstream_leg import UpstreamLeg
from app.tools.interface import ToolContext

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from opentelemetry.trace import Span

    from app.protocol.close_codes import CloseReason
    from app.protocol.initialize import ResolvedInitialize
    from app.protocol.tool import ToolResult
    from app.relay.dependencies import Conversation, RelayDependencies, RelayLimits
    from app.websocket.interface import CloseEvent, Socket

# A browser that is away when these happen has frames to come back for.
REASONS_KEPT_FOR_RESUME = (
    close_codes.ENDED,
    close_codes.UPSTREAM_FAILED,
    close_codes.UPSTREAM_TIMEOUT,
)


BEFORE_INITIALIZE = (
    "Init message not received: send initialize first. What is sent before it waits until then."
)


class Relay:
    """One conversation's I/O: two legs, the tools beside them, and the rules between."""

    def __init__(
        self, conversation: Conversation, dependencies: RelayDependencies, limits: RelayLimits
    ) -> None:
        resumable = conversation.resume_token is not None and limits.resume_window > 0
        self.conversation = conversation
        self.pages: Pages | None = None  # of a chat that outlives its page
        self.call_type = conversation.profile.default_call_type
        self.resume_window = limits.resume_window if resumable else 0.0
        self._dependencies = dependencies
        self._limits = limits
        self.session = self._new_session()
        self.epoch = time() - monotonic()
        self.observer = ConversationObserver(conversation, dependencies)
        self.browser = BrowserLeg(self, conversation.id, limits.outbox, limits.patience)
        self.queue = QueueWait(conversation.place, self.browser, self.now)
        self.last_activity = monotonic()
        self._from_browser = dependencies.metrics.from_browser
        self._from_upstream = dependencies.metrics.from_upstream
        self.upstream = UpstreamLeg(self)
        self._tools = ToolCalls(
            dependencies.executor,
            conversation.id,
            limits.tool_concurrency,
            dependencies.recorder,
            self._context,
            conversation.trace,
            self._tool_finished,
        )
        self._deadlines = SessionDeadlines(self, limits)
        self.is_observed = dependencies.recorder is not None
        self.attempt = 0  # the browser's newest to resume, as far as it counts them
        self._diagnostics = CallDiagnostics(self.session, self.observer, self.now)
        self.is_ending = False  # whether a reason to end is known
        self.ended_at = 0.0  # Unix seconds; 0 until both sides are closed
        self._group: asyncio.TaskGroup | None = None
        self._ended: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()
        self.first_frame: asyncio.Future[CloseReason] | None = None
        self._message: str | None = None
        self._retry_after: float | None = None
        self._verified: Mapping[str, Any] = {}
        self._initializing: Span | None = None
        self._browser_write_paused = False
        self._resume_expired = False

    def _new_session(self) -> Session:
        """The rules for one page: its own counts, bounds and what is held for it."""
        limits, dependencies = self._limits, self._dependencies
        return Session(
            self.conversation.id,
            self.conversation.profile,
            dependencies.tools(),
            TokenBucket(limits.frames_per_second, limits.frame_burst),
            ReplayBuffer(limits.resume_buffer if self.resume_window else None),
            dependencies.metrics.frame_counters,
            dependencies.secrets,
        )

    # Life cycle

    async def run(self) -> None:
        """Relay until either side or the gateway ends the conversation, then close both."""
        reason = close_codes.CRASHED
        try:
            reason = await self._converse()
        finally:
            self.is_ending = True
            await self._hang_up(reason)

    async def _converse(self) -> CloseReason:
        """Resolve `initialize`, open upstream, and relay until the end."""
        try:
            opening = await self._resolve_initialize()
        except Refusal as refusal:
            self._message = refusal.message
            return refusal.reason
        if self.is_ending:
            return self._ended.result()
        self._send_session_event(opening)
        async with asyncio.TaskGroup() as self._group:
            dialling = self._group.create_task(self._open_upstream(opening))
            try:
                return await self._ended
            finally:
                dialling.cancel()
                self._tools.cancel()

    async def _resolve_initialize(self) -> ResolvedInitialize:
        """Wait, bounded, for an `initialize` of the browser's own, where one may come."""
        conversation = self.conversation
        if (
            conversation.initialize_wait > 0
            and self.session.client_initialize is None
            and not self.is_ending
        ):
            if conversation.initialize_required and self.session.received:
                self._tell_initialize_missing()  # it came before this waited
            silent = await self._wait_for_initialize(conversation.initialize_wait)
            if silent and conversation.initialize_required and not self.is_ending:
                raise Refusal(close_codes.IDLE, "Init message not received")
        options = conversation.client_options.merged_with(self.session.client_initialize)
        return resolve_initialize(conversation.profile, conversation.principal, options)

    async def _wait_for_initialize(self, seconds: float) -> bool:
        """Wait for the browser's `initialize` or the end; whether neither came in time."""
        loop = asyncio.get_running_loop()
        self.first_frame = loop.create_future()
        timer = loop.call_later(seconds, self.first_frame.cancel)
        try:
            await asyncio.wait((self.first_frame,))
            return self.first_frame.cancelled()
        finally:
            timer.cancel()
            self.first_frame = None

    def _send_session_event(self, opening: ResolvedInitialize) -> None:
        """Send `relay.session`, the first frame of every session."""
        conversation = self.conversation
        self.call_type = opening.call_type
        self._verified = opening.additional_data
        native = conversation.resume_token is not None
        if native and self._limits.chat_keep > 0 and self.call_type is CallType.CHAT:
            self.pages = Pages(self, self._limits, self._new_session)
            self.is_observed = True
        self.browser.send_unnumbered(self.session_event(conversation.resume_token))
        self.observer.started(opening)
        notices = notices_of(opening)
        self.observer.told(notices)
        for told in notice_frames(notices, self.now(), conversation.id, native=native):
            self.browser.send_unnumbered(told)

    def session_event(self, token: str | None) -> bytes:
        """`relay.session` for a page that may resume by `token`."""
        offer = None if token is None or not self.resume_window else (token, self.resume_window)
        keep = 0.0 if self.pages is None else self._limits.chat_keep
        return frames.session_opened(
            self.now(),
            self.conversation.id,
            self.conversation.profile.name,
            self.call_type,
            offer,
            keep,
            queued=self.queue.must_wait,
        )

    async def _open_upstream(self, opening: ResolvedInitialize) -> None:
        """Dial, and send the one `initialize` with whatever the browser sent early."""
        profile = self.conversation.profile
        if await self.queue.wait():
            self.last_activity = monotonic()
            self._deadlines.restart_duration()
        try:
            with self.conversation.trace.part("dial"):
                socket = await self._dependencies.dial(profile)
        except UpstreamError as failed:
            self.end(failed.reason)
            return
        self._initializing = self.conversation.trace.begin("initialize")
        self.upstream.attach(socket)
        first = frames.initialize(self.now(), profile.request_field, dict(opening.request))
        for action in self.session.open(first):
            self._apply_one(action)
        if self.pages is not None:
            self.pages.upstream_opened()
        self._deadlines.start_initialize_timeout()
        # The vendor may have spoken already: by the rules that is after our initialize.
        self.upstream.start_receiving()
        self._check_slow_reader()

    async def _hang_up(self, reason: CloseReason) -> None:
        """Closes the browser, then upstream, then records metrics, log and history."""
        now = ended_at = self.now()
        wait = self._retry_after or retry_after(reason)
        told = frames.error(now, reason, self.conversation.id, self._message, wait)
        self.browser.start_closing(reason, told)
        if self.pages is not None:
            self.pages.start_closing(reason, told)
        for action in self.session.terminate(now):
            self._apply_one(action)
        self._deadlines.cancel()
        if self.call_type is CallType.WEB_CALL:
            self._diagnostics.conversation_ended()
        self._diagnostics.cancel()
        try:
            await self.upstream.close(self._limits.end_grace)
            self.queue.release(keep_turn=reason is close_codes.DRAINING)
            self.session.close()
            ended_at = self.ended_at = self.now()
            if self._may_come_back(reason):
                await self.browser.wait_closed(self.resume_window)
            if self.pages is not None and reason in REASONS_KEPT_FOR_RESUME:
                await self.pages.wait_closed(0.0 if self.session.hung_up else self.resume_window)
        finally:
            self.session.close()
            if self.pages is not None:
                self.pages.release()
            self.browser.detach()
            sent = self.session.outgoing.count
            self.observer.ended(self.call_type, reason, ended_at, (self.session.received, sent))

    def _may_come_back(self, reason: CloseReason) -> bool:
        """Tell whether a browser may still come for the end: not one that asked for it and left."""
        if self.session.hung_up and not self.browser.is_connected:
            return False
        if self.pages is not None and self.pages.first_is_gone:
            return False
        return (
            bool(self.resume_window)
            and not self._resume_expired
            and reason in REASONS_KEPT_FOR_RESUME
        )

    # For the gateway

    def now(self) -> float:
        """Unix seconds that never jump."""
        return self.epoch + monotonic()

    @property
    def tools_running(self) -> int:
        """How many tool calls have no answer yet."""
        return self._tools.running

    @property
    def browser_state(self) -> str:
        """Whether any page is "here", all are "away", or there was "none" to begin with."""
        joined_here = self.pages is not None and self.pages.is_joined_page_here
        return "here" if joined_here else self.browser.state

    @property
    def frames_received(self) -> int:
        """How many frames came from browsers."""
        return self.session.received + (0 if self.pages is None else self.pages.received)

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for browsers."""
        return self.browser.buffered_bytes + (
            0 if self.pages is None else self.pages.buffered_bytes
        )

    @property
    def idle_for(self) -> float:
        """Seconds since anything was said; none while the session waits for upstream."""
        return 0.0 if self.queue.is_waiting else monotonic() - self.last_activity

    def update_observed(self) -> None:
        """Recompute whether frames are observed: recorded, or subscribed to."""
        watched = bool(self.observer.subscribers.callbacks)
        recorded = self._dependencies.recorder is not None
        self.is_observed = watched or recorded or self.pages is not None

    def stop_waiting_for_browser(self) -> None:
        """Wait no longer for a disconnected browser to come back for the closing handshake."""
        self.browser.stop_waiting_for_close()
        if self.pages is not None:
            self.pages.stop_waiting_for_close()

    @property
    def is_kept(self) -> bool:
        """Whether the conversation is kept open although no page is there."""
        return self.pages is not None and not self.pages.is_anyone_here

    def announce(self, payload: bytes) -> None:
        """Send every page one of the gateway's own frames, which has no number."""
        self.browser.send_unnumbered(payload)
        if self.pages is not None:
            self.pages.announce(payload)

    def resume(self, socket: Socket, received: int) -> None:
        """Take the browser's next socket: replay what it missed, or tell it that this is lost."""
        slow, self._browser_write_paused = (
            self._browser_write_paused,
            False,
        )  # the new socket will say for itself
        if not self.browser.resume(socket, received):
            self._browser_write_paused = slow
            self.observer.resumed("cannot_resume")
            if self.pages is not None and not self.browser.is_connected:
                self.pages.first_lost(for_good=True)
            elif not self.browser.is_connected:
                self.end(close_codes.CANNOT_RESUME)
            return
        self.observer.resumed("resumed")
        self.observer.browser("here", self.now())
        self.queue.browser_returned()
        self._deadlines.cancel_resume_window()
        if self.pages is not None:
            self.pages.arrived(None)
        self._update_backpressure()
        if self.upstream.write_paused:
            self.browser.pause_reading()

    def end(
        self, reason: CloseReason, message: str | None = None, retry_after: float | None = None
    ) -> None:
        """End the conversation; the first reason wins."""
        if not self.is_ending:
            self.is_ending = True
            self._message, self._retry_after = message, retry_after
            if self.first_frame is not None and not self.first_frame.done():
                self.first_frame.set_result(reason)
            if not self._ended.done():  # it is, where the task that waits for it was cancelled
                self._ended.set_result(reason)

    # Events of the sockets

    def apply(self, actions: Actions, payload: bytes) -> None:
        """Do what the session decided about a frame."""
        for action in actions:
            if type(action) is Forward:
                if self.pages is None or not self.pages.takes_request(actions):
                    self.browser.send(payload)
            elif type(action) is Count and action.name in UNKNOWN:
                self.observer.unknown(action.name, payload, self.now())
            else:
                self._apply_one(action)

    def on_first_frame(self, wished: asyncio.Future[CloseReason]) -> None:
        """Take the first browser frame: it is the browser's `initialize`, or there is none."""
        waits_on = self.conversation.initialize_required and self.session.client_initialize is None
        if not waits_on and not wished.done():
            wished.set_result(close_codes.ENDED)
        if waits_on and self.session.received == 1:
            self._tell_initialize_missing()

    def _tell_initialize_missing(self) -> None:
        """Answer what came before `initialize`, once; it waits until then."""
        reason, session_id = close_codes.BAD_FRAMES, self.conversation.id
        self.browser.send(frames.error(self.now(), reason, session_id, BEFORE_INITIALIZE))

    def on_upstream_read_complete(self, arrived: float, count: int) -> None:
        """All that one read brought, `count` frames since `arrived`, is judged: see what waits."""
        self.last_activity = arrived
        if self._initializing is not None:
            self._on_upstream_initialized(self._initializing)
        if self.session.outgoing.is_full or self.browser.slow_timer is not None:
            self._check_slow_reader()
        self._from_upstream.pending += count

    def on_browser_read_complete(self, arrived: float, count: int) -> None:
        """All that one read brought, `count` frames since `arrived`, is judged: see what waits."""
        self.last_activity = arrived
        if self.session.outgoing.is_full or self.browser.slow_timer is not None:
            self._check_slow_reader()
        self._from_browser.pending += count

    def _on_upstream_initialized(self, initializing: Span) -> None:
        """The vendor's first frame came, or its close: it accepted `initialize`, or refused it."""
        initializing.end()
        self._initializing = None
        if self.session.phase is Phase.INITIALIZING:
            self._dependencies.circuit.record_failure()
        else:
            self._dependencies.circuit.record_success()

    def binary_from_browser(self) -> None:
        """A binary message came: refused, as the protocol has none."""
        if self.is_ending:
            return
        for action in self.session.binary_from_browser(self.now()):
            self._apply_one(action)

    def binary_from_upstream(self) -> None:
        """A binary message came from the vendor: dropped and counted."""
        for action in self.session.malformed_from_upstream():
            self._apply_one(action)

    def on_browser_write_paused(self) -> None:
        """The browser reads slowly: upstream is read no further."""
        self._browser_write_paused = True
        self._update_backpressure()

    def on_browser_write_resumed(self) -> None:
        """The browser reads again, so upstream is read again."""
        self._browser_write_paused = False
        self._update_backpressure()

    def on_upstream_write_paused(self) -> None:
        """The vendor reads slowly: the browser is read no further."""
        self.browser.pause_reading()
        if self.pages is not None:
            self.pages.set_reading(reading=False)

    def on_upstream_write_resumed(self) -> None:
        """The vendor reads again."""
        self.browser.resume_reading()
        if self.pages is not None:
            self.pages.set_reading(reading=True)

    def on_upstream_disconnected(self, closed: CloseEvent) -> None:
        """The vendor's socket is gone: normal after an announced end, else a failure."""
        reason = self.session.upstream_lost(closed.code, self.now())
        if reason is not close_codes.ENDED and not self.is_ending:
            self.observer.upstream_lost(closed, self.session.phase)
        if self._initializing is not None:
            self._on_upstream_initialized(self._initializing)
        self.end(reason)

    def on_browser_disconnected(self, reason: CloseReason | None) -> None:
        """The browser's socket is gone, for `reason` if that is known to be for good.

        Otherwise it may come back within the window, if it can at all.
        """
        self.observer.browser("away", self.now())
        if self.is_ending:
            return
        if self.pages is not None and (reason is None or self.pages.is_joined_page_here):
            self._browser_write_paused = False
            if reason is None and self.resume_window:
                self._deadlines.start_resume_window()
                self.pages.first_lost(for_good=False)
            else:
                self.pages.first_lost(for_good=True)
        elif reason is not None:
            self.end(reason)
        elif not self.resume_window:
            self.end(close_codes.ENDED)
        else:
            self._browser_write_paused = False
            self.queue.browser_left()
            self._deadlines.start_resume_window()
            self._update_backpressure()

    def on_resume_window_expired(self) -> None:
        """The browser did not come back within its window."""
        if self.pages is not None:
            self.pages.first_lost(for_good=True)
            return
        self._resume_expired = True
        self.end(close_codes.ENDED)

    def spoke(self, actions: Actions) -> None:
        """A frame of the first page's was judged, and the conversation is observed."""
        if self.pages is not None:
            self.pages.spoke(None, actions)

    def terminated_by_page(self) -> None:
        """A joined page has sent `terminate` upstream: that ends it for all."""
        self.session.terminated_by_page()
        self._deadlines.start_close_timeout()

    def on_pages_changed(self) -> None:
        """A page came, went, or reads otherwise than before."""
        self._update_backpressure()

    def crashed(self) -> None:
        """A bug of ours showed while a frame was judged: this session ends, and no other."""
        self.observer.log.error("crashed")
        self.end(close_codes.CRASHED)

    # Applying actions

    def _apply_one(self, action: Action) -> None:
        """Carry out one decision of the session's that concerns either peer."""
        match action:
            case ToUpstream(payload):
                self.upstream.send(payload)
            case ToBrowser(payload):
                self.browser.send(payload)
            case Announce(payload):
                self.browser.send_unnumbered(payload)
            case Count(name):
                self.observer.count(name)
            case VendorRefused(failure, said):
                self.observer.vendor_refused(failure, said)
            case Acked():
                self._update_backpressure()
            case AwaitUpstreamClose():
                self._deadlines.start_close_timeout()
            case SdpExchanged():
                self._diagnostics.sdp_exchanged()
                self._deadlines.sdp_exchanged()
            case End(reason, message):
                self.end(reason, message)
            case _:
                self._apply_to_tools(action)

    def _apply_to_tools(self, action: Action) -> None:
        """Carry out one decision of the session's that concerns a tool."""
        match action:
            case RunTool() | AwaitBrowserTool() if self.is_ending:
                pass  # the agent was told to end: it waits for no answer
            case RunTool(call) if self._group is not None:
                self.observer.tool(call.name, self.now(), "running")
                self._tools.start(self._group, call)
            case AwaitBrowserTool(call):
                self.observer.tool(call.name, self.now(), "asked")
                self._tools.await_browser(call, self._limits.tool_timeout)
            case ToolSettled(call, outcome):
                self.observer.tool_settled(call.name, outcome, self._tools.settled(call, outcome))
                self.observer.tool(call.name, self.now(), outcome.value)

    def _context(self, call_id: str) -> ToolContext:
        """For whom a tool runs: verified, whatever the agent or the browser say."""
        conversation = self.conversation
        return ToolContext(
            conversation.id,
            conversation.profile.name,
            self.call_type,
            conversation.principal,
            self._verified,
            call_id,
        )

    def _tool_finished(self, result: ToolResult) -> None:
        """Answer the agent: a tool of ours has finished, or the browser's time is up."""
        name = self.session.calls.name_of(result.id)
        if (shown := self.session.calls.shown.get(result.id)) is not None:
            seconds = self._tools.settled(shown.call, result.outcome)
            self.observer.tool_settled(shown.call.name, result.outcome, seconds)
        self.observer.tool(name, self.now(), result.outcome.value)
        self.last_activity = monotonic()
        for action in self.session.tool_finished(result, self.now()):
            self._apply_one(action)
        self._check_slow_reader()

    def _check_slow_reader(self) -> None:
        """See whether the browser is too far behind, here or away."""
        self.browser.check_slow_reader()
        if self.resume_window and not self.browser.is_connected and self.session.outgoing.is_full:
            self._update_backpressure()

    def _update_backpressure(self) -> None:
        """Read upstream only while there is somewhere to put what it says."""
        if self.pages is not None:
            slow = self._browser_write_paused
            self.upstream.set_reading(self.pages.may_read(first_is_slow=slow))
            return
        full = not self.browser.is_connected and self.session.outgoing.is_full
        self.upstream.set_reading(not (self._browser_write_paused or full))
