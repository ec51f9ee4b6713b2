"""One conversation, top to bottom. Read `run` first.

The wire calls straight into the relay, the session judges, the relay does what was decided: no
queue, no task and no lock lie between the two sockets.
"""

from __future__ import annotations

import asyncio
from time import monotonic, time
from typing import TYPE_CHECKING

from app.errors import Refusal, UpstreamError
from app.protocol import closing, frames
from app.protocol.actions import (
    Action,
    Actions,
    Announce,
    AwaitBrowserTool,
    AwaitEnd,
    CallDescribed,
    Confirmed,
    Count,
    End,
    Forward,
    RunTool,
    ToBrowser,
    ToolSettled,
    ToUpstream,
)
from app.protocol.initialize import settle
from app.protocol.limits import TokenBucket
from app.protocol.phases import Phase
from app.protocol.principal import CallType
from app.protocol.replay import ReplayBuffer
from app.protocol.session import Session
from app.relay.books import Books
from app.relay.browser import BrowserEnd, retry_after
from app.relay.timers import Timers
from app.relay.tools import ToolTasks
from app.relay.upstream import UpstreamEnd
from app.relay.webcall import WebCall
from app.tools.port import ToolContext

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from opentelemetry.trace import Span

    from app.protocol.closing import CloseReason
    from app.protocol.initialize import Opening
    from app.protocol.tool import ToolResult
    from app.relay.conversation import Collaborators, Conversation, RelayLimits
    from app.wire.socket import Closed, Socket

# A browser that is away when these happen has frames to come back for.
LINGERING = (closing.ENDED, closing.UPSTREAM_FAILED, closing.UPSTREAM_TIMEOUT)


class Relay:
    """One conversation's I/O: two ends, the tools beside them, and the rules between."""

    def __init__(
        self, conversation: Conversation, helpers: Collaborators, limits: RelayLimits
    ) -> None:
        resumable = conversation.resume_token is not None and limits.resume_window > 0
        self.conversation = conversation
        self.call_type = conversation.profile.default_call_type
        self.window = limits.resume_window if resumable else 0.0
        self.session = Session(
            conversation.id,
            conversation.profile,
            helpers.tools(),
            TokenBucket(limits.frames_per_second, limits.frame_burst),
            ReplayBuffer(limits.resume_buffer if resumable else None),
            helpers.metrics.tally,
            helpers.secrets,
        )
        self.epoch = time() - monotonic()
        self.books = Books(conversation, helpers)
        self.browser = BrowserEnd(self, conversation.id, limits.outbox, limits.patience)
        self.heard_at = monotonic()
        self._from_browser = helpers.metrics.from_browser
        self._from_upstream = helpers.metrics.from_upstream
        self.upstream = UpstreamEnd(self)
        self._tools = ToolTasks(
            helpers.runner,
            conversation.id,
            limits.tool_concurrency,
            helpers.recorder,
            self._context,
            conversation.trace,
            self._tool_finished,
        )
        self._timers = Timers(self, limits)
        self._helpers = helpers
        self._limits = limits
        self.listening = helpers.recorder is not None
        self.attempt = 0  # the browser's newest to resume, as far as it counts them
        self._call = WebCall(self.session, self.books, self.now)
        self.over = False  # whether a reason to end is known
        self._group: asyncio.TaskGroup | None = None
        self._ended: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()
        self.wished: asyncio.Future[CloseReason] | None = None
        self._message: str | None = None
        self._retry_after: float | None = None
        self._verified: Mapping[str, Any] = {}
        self._initializing: Span | None = None
        self._slow_browser = False
        self._gone = False

    # From the first frame to the last

    async def run(self) -> None:
        """Relay until somebody ends it, then hang up on both sides, whoever it was."""
        reason = closing.CRASHED
        try:
            reason = await self._converse()
        finally:
            self.over = True
            await self._hang_up(reason)

    async def _converse(self) -> CloseReason:
        """Settle what is wished, open upstream, and let the wire call until the end."""
        try:
            opening = await self._settle()
        except Refusal as refusal:
            self._message = refusal.message
            return refusal.reason
        if self.over:
            return self._ended.result()
        self._greet(opening)
        async with asyncio.TaskGroup() as self._group:
            dialling = self._group.create_task(self._open(opening))
            try:
                return await self._ended
            finally:
                dialling.cancel()
                self._tools.cancel()

    async def _settle(self) -> Opening:
        """Wait, bounded, for an `initialize` of the browser's own, where one may come."""
        conversation = self.conversation
        if conversation.wish_wait > 0 and self.session.wish is None and not self.over:
            silent = await self._silent(conversation.wish_wait)
            if silent and conversation.wish_demanded and not self.over:
                raise Refusal(closing.IDLE, "Init message not received")
        wish = conversation.wish.over(self.session.wish)
        return settle(conversation.profile, conversation.principal, wish)

    async def _silent(self, seconds: float) -> bool:
        """Wait for the browser's first frame, or for the end; whether neither came in time."""
        loop = asyncio.get_running_loop()
        self.wished = loop.create_future()
        timer = loop.call_later(seconds, self.wished.cancel)
        try:
            await asyncio.wait((self.wished,))
            return self.wished.cancelled()
        finally:
            timer.cancel()
            self.wished = None

    def _greet(self, opening: Opening) -> None:
        """Tell the browser first of all which session this is."""
        conversation = self.conversation
        self.call_type = opening.call_type
        self._verified = opening.additional_data
        token = conversation.resume_token if self.window else None
        offer = None if token is None else (token, self.window)
        agent = conversation.profile.name
        self.browser.announce(
            frames.session_opened(self.now(), conversation.id, agent, opening.call_type, offer)
        )
        self.books.started(opening)

    async def _open(self, opening: Opening) -> None:
        """Dial, and send the one `initialize` with whatever the browser sent early."""
        profile = self.conversation.profile
        try:
            with self.conversation.trace.part("dial"):
                socket = await self._helpers.dial(profile)
        except UpstreamError as failed:
            self.end(failed.reason)
            return
        self._initializing = self.conversation.trace.begin("initialize")
        self.upstream.attach(socket)
        first = frames.initialize(self.now(), profile.request_field, dict(opening.request))
        for action in self.session.open(first):
            self._do(action)
        self._timers.opened()
        # The vendor may have spoken already: by the rules that is after our initialize.
        self.upstream.listen()
        self._check()

    async def _hang_up(self, reason: CloseReason) -> None:
        """The one road out: the browser first, then upstream, then the books."""
        now = ended_at = self.now()
        wait = self._retry_after or retry_after(reason)
        told = frames.error(now, reason, self.conversation.id, self._message, wait)
        self.browser.say_goodbye(reason, told)
        for action in self.session.terminate(now):
            self._do(action)
        self._timers.cancel()
        if self.call_type is CallType.WEB_CALL:
            self._call.ended()
        self._call.cancel()
        try:
            await self.upstream.hang_up(self._limits.end_grace)
            self.session.close()
            ended_at = self.now()
            if self._may_come_back(reason):
                await self.browser.heard_goodbye(self.window)
        finally:
            self.session.close()
            self.browser.leave()
            sent = self.session.outgoing.count
            self.books.ended(self.call_type, reason, ended_at, (self.session.received, sent))

    def _may_come_back(self, reason: CloseReason) -> bool:
        """Tell whether a browser may still come for the end: not one that asked for it and left."""
        if self.session.hung_up and not self.browser.here:
            return False
        return bool(self.window) and not self._gone and reason in LINGERING

    # What the gateway may ask

    def now(self) -> float:
        """Unix seconds that never jump."""
        return self.epoch + monotonic()

    @property
    def tools_running(self) -> int:
        """How many tool calls have no answer yet."""
        return self._tools.running

    @property
    def idle_for(self) -> float:
        """Seconds since anything was said."""
        return monotonic() - self.heard_at

    def listen(self) -> None:
        """Look anew at whether frames are watched or recorded."""
        watched = bool(self.books.watchers.watching)
        self.listening = watched or self._helpers.recorder is not None

    def let_go(self) -> None:
        """Wait no longer for a browser that is away to come back for the goodbye."""
        self.browser.let_go()

    def resume(self, socket: Socket, received: int) -> None:
        """Take the browser's next socket: replay what it missed, or tell it that this is lost."""
        slow, self._slow_browser = self._slow_browser, False  # the new socket will say for itself
        if not self.browser.resume(socket, received):
            self._slow_browser = slow
            self.books.resumed("cannot_resume")
            if not self.browser.here:
                self.end(closing.CANNOT_RESUME)
            return
        self.books.resumed("resumed")
        self.books.browser("here", self.now())
        self._timers.back()
        self._regulate()
        if self.upstream.slow:
            self.browser.pause_reading()

    def end(
        self, reason: CloseReason, message: str | None = None, retry_after: float | None = None
    ) -> None:
        """End the conversation; the first reason wins."""
        if not self.over:
            self.over = True
            self._message, self._retry_after = message, retry_after
            if self.wished is not None and not self.wished.done():
                self.wished.set_result(reason)
            if not self._ended.done():  # it is, where the task that waits for it was cancelled
                self._ended.set_result(reason)

    # What the wire tells

    def carry_out(self, actions: Actions, payload: bytes) -> None:
        """Do what the session decided about a frame."""
        for action in actions:
            if type(action) is Forward:
                self.browser.send(payload)
            else:
                self._do(action)

    def heard_first(self, wished: asyncio.Future[CloseReason]) -> None:
        """A frame came while a wish was waited for: the wish, or a sign that none will come."""
        waits_on = self.conversation.wish_demanded and self.session.wish is None
        if not waits_on and not wished.done():
            wished.set_result(closing.ENDED)

    def heard_upstream(self, arrived: float, count: int) -> None:
        """All that one read brought, `count` frames since `arrived`, is judged: see what waits."""
        self.heard_at = arrived
        if self._initializing is not None:
            self._begun(self._initializing)
        if self.session.outgoing.full or self.browser.stalled is not None:
            self._check()
        self._from_upstream.judged += count

    def heard_browser(self, arrived: float, count: int) -> None:
        """All that one read brought, `count` frames since `arrived`, is judged: see what waits."""
        self.heard_at = arrived
        if self.session.outgoing.full or self.browser.stalled is not None:
            self._check()
        self._from_browser.judged += count

    def _begun(self, initializing: Span) -> None:
        """The vendor said its first words, or left: it took `initialize`, or it refused."""
        initializing.end()
        self._initializing = None
        if self.session.phase is Phase.OPENING:
            self._helpers.circuit.failed()
        else:
            self._helpers.circuit.succeeded()

    def binary_from_browser(self) -> None:
        """A binary message came: refused, as the protocol has none."""
        if self.over:
            return
        for action in self.session.binary_from_browser(self.now()):
            self._do(action)

    def binary_from_upstream(self) -> None:
        """A binary message came from the vendor: dropped and counted."""
        for action in self.session.malformed_from_upstream():
            self._do(action)

    def browser_slow(self) -> None:
        """The browser reads slowly: upstream is read no further."""
        self._slow_browser = True
        self._regulate()

    def browser_caught_up(self) -> None:
        """The browser reads again, so upstream is read again."""
        self._slow_browser = False
        self._regulate()

    def upstream_slow(self) -> None:
        """The vendor reads slowly: the browser is read no further."""
        self.browser.pause_reading()

    def upstream_caught_up(self) -> None:
        """The vendor reads again."""
        self.browser.resume_reading()

    def upstream_left(self, closed: Closed) -> None:
        """The vendor's socket is gone: normal after an announced end, else a failure."""
        reason = self.session.upstream_lost(closed.code)
        if reason is not closing.ENDED:
            self.books.upstream_lost(closed)
        if self._initializing is not None:
            self._begun(self._initializing)
        self.end(reason)

    def browser_left(self, reason: CloseReason | None) -> None:
        """The browser's socket is gone, for `reason` if that is known to be for good.

        Otherwise it may come back within the window, if it can at all.
        """
        self.books.browser("away", self.now())
        if self.over:
            return
        if reason is not None:
            self.end(reason)
        elif not self.window:
            self.end(closing.ENDED)
        else:
            self._slow_browser = False
            self._timers.away()
            self._regulate()

    def browser_gone(self) -> None:
        """The browser did not come back within its window."""
        self._gone = True
        self.end(closing.ENDED)

    def crashed(self) -> None:
        """A bug of ours showed while a frame was judged: this session ends, and no other."""
        self.books.log.error("crashed")
        self.end(closing.CRASHED)

    # Doing what was decided

    def _do(self, action: Action) -> None:
        """Carry out one decision of the session's that concerns either peer."""
        match action:
            case ToUpstream(payload):
                self.upstream.send(payload)
            case ToBrowser(payload):
                self.browser.send(payload)
            case Announce(payload):
                self.browser.announce(payload)
            case Count(name):
                self.books.count(name)
            case Confirmed():
                self._regulate()
            case AwaitEnd():
                self._timers.finishing()
            case CallDescribed():
                self._call.described()
            case End(reason, message):
                self.end(reason, message)
            case _:
                self._do_with_tools(action)

    def _do_with_tools(self, action: Action) -> None:
        """Carry out one decision of the session's that concerns a tool."""
        match action:
            case RunTool() | AwaitBrowserTool() if self.over:
                pass  # the agent was told to end: it waits for no answer
            case RunTool(call) if self._group is not None:
                self.books.tool(call.name, self.now(), "running")
                self._tools.start(self._group, call)
            case AwaitBrowserTool(call):
                self.books.tool(call.name, self.now(), "asked")
                self._tools.await_browser(call, self._limits.tool_timeout)
            case ToolSettled(call, outcome):
                self.books.tool_settled(call.name, outcome, self._tools.settled(call, outcome))
                self.books.tool(call.name, self.now(), outcome.value)

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
            self.books.tool_settled(shown.call.name, result.outcome, seconds)
        self.books.tool(name, self.now(), result.outcome.value)
        self.heard_at = monotonic()
        for action in self.session.tool_finished(result, self.now()):
            self._do(action)
        self._check()

    def _check(self) -> None:
        """See whether the browser is too far behind, here or away."""
        self.browser.check()
        if self.window and not self.browser.here and self.session.outgoing.full:
            self._regulate()

    def _regulate(self) -> None:
        """Read upstream only while there is somewhere to put what it says."""
        full = not self.browser.here and self.session.outgoing.full
        self.upstream.read(not (self._slow_browser or full))
