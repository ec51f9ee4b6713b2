"""Holds frames back while guardrails judge one of them, each direction in its order.

It stands between a leg's socket and the handler of its frames, in sessions that have a guardrail
for that direction and in no others. What waits is bounded in frames and bytes: past either the leg
is read no further, so nothing is lost. Frames that need no verdict and wait behind none pass at
once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from app.protocol import frames
from app.protocol.actions import ToBrowser
from app.protocol.frames import INCOMING_CHAT_MESSAGE, TEXT, TOOL_REQUEST, TOOL_RESPONSE
from app.protocol.guarded_turn import GuardedTurn
from app.protocol.guarding import (
    BLOCK,
    BLOCKED_MESSAGE,
    END,
    MASK,
    TOOL_ARGS,
    TOOL_RESULT,
    Subject,
    agent_subject,
    error_result,
    read_frame,
    user_subject,
)
from app.protocol.texts import USER, spoken_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.protocol.session import Session
    from app.relay.browser_leg import BrowserLeg
    from app.relay.frame_handlers import BrowserFrames
    from app.relay.interface import (
        BrowserFrameTarget,
        FrameHandler,
        UpstreamFrameTarget,
        UpstreamLegEvents,
    )
    from app.relay.session_guard import SessionGuard
    from app.relay.upstream_leg import UpstreamLeg
    from app.websocket.interface import CloseEvent
    from blackbox_relay.guardrail import On, Verdict

PAGE_TYPES: Final[Mapping[On, str]] = MappingProxyType(
    {"user": INCOMING_CHAT_MESSAGE, "tool_result": TOOL_RESPONSE}
)
UPSTREAM_TYPES: Final[Mapping[On, str]] = MappingProxyType(
    {"agent": TEXT, "tool_args": TOOL_REQUEST}
)
"""The types of frames that hold what is judged."""

MAX_FRAMES: Final = 256
MAX_BYTES: Final = 1 << 20
"""How much may wait in one direction of a session before it is read no further."""


@dataclass(slots=True)
class Waiting:
    """A frame that waits, or what else came between frames. `at` is in monotonic seconds."""

    size: int
    at: float
    payload: bytes | None = None
    subject: Subject | None = None
    is_user_text: bool = False
    is_superseded: bool = False
    then: Callable[[], None] | None = None


class Hold(Protocol):
    """Stops and resumes the reading of a leg."""

    def __call__(self, *, held: bool) -> None:
        """Hold the leg's reading, or let go of it."""
        ...


class GuardedFrames:
    """The frames of one direction. `release` is called with what waits, one after the other."""

    def __init__(
        self,
        inner: FrameHandler,
        guard: SessionGuard,
        crashed: Callable[[], None],
        types: Mapping[On, str],
    ) -> None:
        self.hold: Hold | None = None
        self._inner = inner
        self._guard = guard
        self._crashed = crashed
        self._waiting: deque[Waiting] = deque()
        self._size = 0
        self._is_held = False
        self._task: asyncio.Task[None] | None = None
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        # A frame without any of these holds nothing to be judged; an escape may hide one.
        judged = [kind.encode() for on, kind in types.items() if guard.judges(on)]
        self._marks = (b"\\u", *judged)

    # What the socket delivers

    def text_received(self, payload: bytes) -> None:
        """Pass a frame on at once, or let it wait."""
        if not self._waiting and not any(mark in payload for mark in self._marks):
            self._inner.text_received(payload)
            return
        try:
            item = self._looked_at(payload)
        except Exception:  # noqa: BLE001 - the outermost handler of what a frame causes
            self._crashed()
            return
        if item.subject is None and not self._waiting:
            self._deliver(item)
        else:
            self._put(item)

    def binary_received(self, size: int) -> None:
        """Pass on that a binary message came, in its order."""
        if self._waiting:
            self._put(Waiting(0, monotonic(), then=lambda: self._inner.binary_received(size)))
        else:
            self._inner.binary_received(size)

    def read_complete(self) -> None:
        """Pass on that a read is over; of what waits that is told when it has been judged."""
        if not self._waiting:
            self._inner.read_complete()

    def discard_read(self) -> None:
        """Count no more on the read that is under way: its socket is gone."""
        self._inner.discard_read()

    def after(self, then: Callable[[], None]) -> None:
        """Call `then` behind all that waits; at once if nothing does."""
        if self._waiting:
            self._put(Waiting(0, monotonic(), then=then))
        else:
            then()

    async def idle(self) -> None:
        """Wait until nothing waits."""
        await self._is_idle.wait()

    def close(self) -> None:
        """Forget what waits."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._waiting.clear()
        self._size = 0
        self._let_go()

    # What waits

    def _put(self, item: Waiting) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last is not None and _replaces(item, last):
            last.is_superseded = True
        self._waiting.append(item)
        self._size += item.size
        self._is_idle.clear()
        if len(self._waiting) >= MAX_FRAMES or self._size >= MAX_BYTES:
            self._is_held = True
            if self.hold is not None:
                self.hold(held=True)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        """Judge and release what waits, in its order, until nothing does."""
        try:
            while self._waiting:
                item = self._waiting[0]
                if item.subject is None or item.is_superseded:
                    self._release(item)
                else:
                    verdict = await self._judge(item, item.subject)
                    self._carry_out(item, item.subject, verdict)
                    self._inner.read_complete()
                if not self._waiting or self._waiting[0] is not item:
                    return  # what it led to has closed this gate
                self._waiting.popleft()
                self._size -= item.size
        except Exception:  # noqa: BLE001 - the outermost handler of what a frame causes
            self._waiting.clear()
            self._crashed()
        self._task = None
        self._inner.read_complete()
        self._let_go()

    def _release(self, item: Waiting) -> None:
        if item.then is not None:
            self._inner.read_complete()
            item.then()
        elif not item.is_superseded:
            self._deliver(item)

    def _let_go(self) -> None:
        self._is_idle.set()
        if self._is_held:
            self._is_held = False
            if self.hold is not None:
                self.hold(held=False)

    def _deliver(self, item: Waiting) -> None:
        """Give a frame that needs no verdict to its handler."""
        if item.payload is not None:
            self._inner.text_received(item.payload)

    # What a direction makes of it

    def _looked_at(self, payload: bytes) -> Waiting:
        raise NotImplementedError

    async def _judge(self, item: Waiting, subject: Subject) -> Verdict:  # noqa: ARG002 - see below
        return await self._guard.judge(subject.on, subject.text, tool=subject.tool)

    def _carry_out(self, item: Waiting, subject: Subject, verdict: Verdict) -> None:
        raise NotImplementedError


def _replaces(item: Waiting, last: Waiting) -> bool:
    """Whether a partial text that waits is shown no more, as the one behind it replaces it."""
    return (
        last.subject is not None
        and last.subject.spoken is not None
        and last.subject.spoken.partial
        and item.subject is not None
        and item.subject.spoken is not None
    )


class GuardedPage(GuardedFrames):
    """What one page sends: chat messages, and results of browser tools."""

    def __init__(
        self,
        inner: BrowserFrames,
        guard: SessionGuard,
        session: Session,
        target: BrowserFrameTarget,
    ) -> None:
        super().__init__(inner, guard, target.crashed, PAGE_TYPES)
        self._received = inner
        self._session = session
        self._target = target
        guard.pages.add(self)

    def attach(self, leg: BrowserLeg, upstream: UpstreamLeg) -> None:
        """Name the leg whose reading is held while too much waits, and the one it leads to."""

        def hold(*, held: bool) -> None:
            leg.hold_reading(held=held)
            if not held and not upstream.write_paused:
                leg.resume_reading()

        self.hold = hold

    def restart(self) -> None:
        """Forget what waits: the page resumes, and sends again what was not judged."""
        self.close()

    def release(self) -> None:
        """Forget what waits, for good: the page is gone."""
        self.close()
        self._guard.pages.discard(self)

    def _looked_at(self, payload: bytes) -> Waiting:
        subject = user_subject(read_frame(payload))
        if subject is not None and not self._guard.judges(subject.on):
            subject = None
        return Waiting(len(payload), monotonic(), payload, subject)

    def _carry_out(self, item: Waiting, subject: Subject, verdict: Verdict) -> None:
        assert item.payload is not None  # noqa: S101 - a subject is of a frame
        message = verdict.message or BLOCKED_MESSAGE
        if self._received.is_ending:
            return
        if verdict.action == END:
            self._guard.end_session(message)
        elif verdict.action == BLOCK and subject.on == TOOL_RESULT:
            self._inner.text_received(subject.replaced(error_result(verdict.message)))
        elif verdict.action == BLOCK:
            now = self._guard.now()
            self._target.apply(self._session.withhold(len(item.payload), message, now), b"")
        elif verdict.action == MASK and verdict.text is not None:
            self._inner.text_received(subject.replaced(verdict.text))
        else:
            self._inner.text_received(item.payload)


class GuardedUpstream(GuardedFrames):
    """What the vendor sends: texts of the agent, and requests for tools."""

    def __init__(
        self,
        inner: FrameHandler,
        guard: SessionGuard,
        session: Session,
        target: UpstreamFrameTarget,
    ) -> None:
        super().__init__(inner, guard, target.crashed, UPSTREAM_TYPES)
        self._session = session
        self._target = target
        self._turn = GuardedTurn()
        guard.upstream = self

    def attach(self, leg: UpstreamLeg, resume: Callable[[], None]) -> None:
        """Name the leg whose reading is held while too much waits, and what resumes it."""

        def hold(*, held: bool) -> None:
            leg.is_held = held
            if held:
                leg.set_reading(False)
            else:
                resume()

        self.hold = hold

    def _looked_at(self, payload: bytes) -> Waiting:
        frame = read_frame(payload)
        subject = agent_subject(frame)
        if subject is not None and not self._guard.judges(subject.on):
            subject = None
        spoken = None if subject is not None else spoken_in(frame)
        is_user = spoken is not None and spoken.source == USER
        return Waiting(len(payload), monotonic(), payload, subject, is_user_text=is_user)

    def _deliver(self, item: Waiting) -> None:
        if item.is_user_text:
            self._turn.user_spoke()
        super()._deliver(item)

    async def _judge(self, item: Waiting, subject: Subject) -> Verdict:
        spoken = subject.spoken
        if spoken is None:
            return await super()._judge(item, subject)
        text = self._turn.judged(spoken, item.at)
        return await self._guard.judge(subject.on, text, partial=spoken.partial)

    def _carry_out(self, item: Waiting, subject: Subject, verdict: Verdict) -> None:
        assert item.payload is not None  # noqa: S101 - a subject is of a frame
        if verdict.action == END:
            self._guard.end_session(verdict.message)
        elif subject.on == TOOL_ARGS:
            self._request(item.payload, subject, verdict)
        else:
            self._text(item.payload, subject, verdict)

    def _request(self, payload: bytes, subject: Subject, verdict: Verdict) -> None:
        if verdict.action == BLOCK:
            now = self._guard.now()
            actions = self._session.block_request(subject.frame, verdict.message, now)
            self._target.apply(actions, payload)
        elif verdict.action == MASK and verdict.text is not None:
            self._inner.text_received(subject.replaced(verdict.text))
        else:
            self._inner.text_received(payload)

    def _text(self, payload: bytes, subject: Subject, verdict: Verdict) -> None:
        spoken, turn = subject.spoken, self._turn
        assert spoken is not None  # noqa: S101 - only tools have none
        if verdict.action == BLOCK:
            shown, is_told = turn.blocked(spoken)
            if shown is not None:
                self._inner.text_received(subject.replaced(shown))
            if is_told:
                self._tell(verdict.message or BLOCKED_MESSAGE)
        elif verdict.action == MASK and verdict.text is not None:
            text = turn.masked(spoken, verdict.text)
            if text:
                self._inner.text_received(subject.replaced(text))
        else:
            turn.passed(spoken)
            self._inner.text_received(payload)

    def _tell(self, message: str) -> None:
        """Tell every page that something was withheld."""
        now = self._guard.now()
        actions = (ToBrowser(frames.withheld(now, message)),)
        self._target.apply(actions, b"")
        if self._target.pages is not None:
            self._target.pages.from_upstream(now, b"", actions)


class GuardedEvents:
    """What the vendor's leg reports; the loss of the vendor is told behind all that it has sent."""

    def __init__(self, events: UpstreamLegEvents, gate: GuardedUpstream) -> None:
        self._events = events
        self._gate = gate

    def on_upstream_writable(self, *, writable: bool) -> None:
        """The vendor reads slowly, or has caught up."""
        self._events.on_upstream_writable(writable=writable)

    def on_upstream_disconnected(self, closed: CloseEvent) -> None:
        """The vendor's socket is gone."""
        self._gate.after(lambda: self._events.on_upstream_disconnected(closed))


def guarded_page(
    guard: SessionGuard | None,
    session: Session,
    inner: BrowserFrames,
    target: BrowserFrameTarget,
) -> GuardedPage | None:
    """What holds a page's frames back; None where no guardrail judges them."""
    if guard is None or not guard.judges("user", "tool_result"):
        return None
    return GuardedPage(inner, guard, session, target)


def guarded_upstream(
    guard: SessionGuard | None,
    session: Session,
    inner: FrameHandler,
    target: UpstreamFrameTarget,
) -> GuardedUpstream | None:
    """What holds the vendor's frames back; None where no guardrail judges them."""
    if guard is None or not guard.judges("agent", "tool_args"):
        return None
    return GuardedUpstream(inner, guard, session, target)
