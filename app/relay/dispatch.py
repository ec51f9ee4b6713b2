"""Both legs of one conversation, and the actions of its session, carried out."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from app.protocol.actions import (
    Acked,
    Action,
    Actions,
    Announce,
    AwaitUpstreamClose,
    Count,
    End,
    Forward,
    Held,
    Publish,
    SdpExchanged,
    ToBrowser,
    ToUpstream,
    VendorRefused,
    WantHuman,
)
from app.protocol.close_codes import CRASHED
from app.relay.backpressure import Backpressure
from app.relay.browser_leg import BrowserLeg
from app.relay.frame_handlers import BrowserFrames, UpstreamFrames
from app.relay.guarded_page import guarded_page
from app.relay.guarded_upstream import GuardedEvents, guarded_upstream
from app.relay.observer import UNKNOWN
from app.relay.tool_actions import ToolActions
from app.relay.upstream_leg import UpstreamLeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.protocol.close_codes import CloseReason
    from app.relay.call_diagnostics import CallDiagnostics
    from app.relay.deadlines import SessionDeadlines
    from app.relay.interface import FurtherPages, LegEvents
    from app.relay.scope import Scope


class Dispatcher:
    """Both legs of one conversation, and what its session wants done.

    `events` hears of the legs' sockets, `end` ends the conversation. `last_activity` is in seconds
    of the monotonic clock. `pages` are further pages, if there may be any; `on_initialized` is
    called once, behind the first read from the vendor.
    """

    def __init__(
        self,
        scope: Scope,
        events: LegEvents,
        deadlines: SessionDeadlines,
        diagnostics: CallDiagnostics,
        end: Callable[[CloseReason, str | None], None],
    ) -> None:
        session, observer, epoch = scope.session, scope.observer, scope.epoch
        metrics = scope.dependencies.metrics
        self.last_activity = monotonic()
        self.pages: FurtherPages | None = None
        self.on_initialized: Callable[[], None] | None = None
        self._epoch = epoch
        self._outgoing = session.outgoing
        self._observer = observer
        self._events = events
        self._deadlines = deadlines
        self._diagnostics = diagnostics
        self._end = end
        self._browser_latency = metrics.from_browser
        self._upstream_latency = metrics.from_upstream
        self.from_browser = BrowserFrames(session, observer, self, epoch)
        page = guarded_page(scope.guard, session, self.from_browser, self)
        self.browser = BrowserLeg(scope, session, page or self.from_browser, events)
        self.from_upstream = UpstreamFrames(session, observer, self, epoch, browser=self.browser)
        gate = guarded_upstream(scope.guard, session, self.from_upstream, self)
        self.upstream = (
            UpstreamLeg(self.from_upstream, events)
            if gate is None
            else UpstreamLeg(gate, GuardedEvents(events, gate))
        )
        self.from_browser.upstream = self.upstream
        self.backpressure = Backpressure(session.outgoing, self.browser, self.upstream)
        if page is not None:
            page.attach(self.browser, self.upstream)
        if gate is not None:
            gate.attach(self.upstream, self.backpressure.update)
        self.tools = ToolActions(scope, self._tool_finished, self.announce)

    def add_pages(self, pages: FurtherPages) -> None:
        """Let further pages have what the vendor says."""
        self.pages = self.backpressure.pages = pages

    def set_observed(self, *, observed: bool) -> None:
        """Show frames to the observer, or no longer."""
        self.from_browser.is_observed = self.from_upstream.is_observed = observed

    def stop(self) -> None:
        """Judge no more of the browser's frames, and start no more tools: the end is near."""
        self.from_browser.is_ending = self.tools.is_ending = True

    def on_browser_read_complete(self, arrived: float, count: int) -> None:
        """All that one read brought, `count` frames since `arrived`, is judged: see what waits."""
        self.last_activity = arrived
        if self._outgoing.is_full or self.browser.slow_timer is not None:
            self.backpressure.check_slow_reader()
        self._browser_latency.pending += count

    def on_upstream_read_complete(self, arrived: float, count: int) -> None:
        """All that one read brought, `count` frames since `arrived`, is judged: see what waits."""
        self.last_activity = arrived
        if self.on_initialized is not None:
            self.on_initialized()
        if self._outgoing.is_full or self.browser.slow_timer is not None:
            self.backpressure.check_slow_reader()
        self._upstream_latency.pending += count

    def spoke(self, actions: Actions) -> None:
        """A frame of the first page's was judged, and the conversation is observed."""
        if self.pages is not None:
            self.pages.spoke(None, actions)

    def crashed(self) -> None:
        """A bug of ours showed while a frame was judged: this session ends, and no other."""
        self._observer.log.error("crashed")
        self._end(CRASHED, None)

    def announce(self, payload: bytes) -> None:
        """Send every page one of the gateway's own frames, which has no number."""
        self.browser.send_unnumbered(payload)
        if self.pages is not None:
            self.pages.announce(payload)

    # Applying actions

    def apply(self, actions: Actions, payload: bytes) -> None:
        """Do what the session decided about the frame `payload`."""
        for action in actions:
            if type(action) is Forward:
                if self.pages is None or not self.pages.takes_request(actions):
                    self.browser.send(payload)
            elif type(action) is Count and action.name in UNKNOWN:
                self._observer.unknown(action.name, payload, self._epoch + monotonic())
            else:
                self._apply_one(action)

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
                self._observer.count(name)
            case VendorRefused(failure, said):
                self._observer.vendor_refused(failure, said)
            case Acked():
                self.backpressure.acked()
            case AwaitUpstreamClose():
                self._deadlines.start_close_timeout()
            case SdpExchanged():
                self._diagnostics.sdp_exchanged()
                self._deadlines.sdp_exchanged()
            case End(reason, message):
                self._end(reason, message)
            case _:
                self._apply_other(action)

    def _apply_other(self, action: Action) -> None:
        """Carry out what concerns a tool, or a person who speaks instead of the agent."""
        if isinstance(action, Publish | WantHuman):
            self._events.on_control_action(action)
        elif not isinstance(action, Held):
            self.tools.apply(action)

    def _tool_finished(self, actions: Actions) -> None:
        """Answer the agent: a tool of ours has finished, or the browser's time is up."""
        self.last_activity = monotonic()
        self.apply(actions, b"")
        self.backpressure.check_slow_reader()
