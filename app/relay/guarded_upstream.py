"""What the vendor sends, while guardrails judge the agent's texts and the arguments of tools."""

from __future__ import annotations

from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from app.protocol import frames
from app.protocol.actions import ToBrowser
from app.protocol.frames import TEXT, TOOL_REQUEST
from app.protocol.guarded_turn import GuardedTurn
from app.protocol.guarding import (
    BLOCK,
    BLOCKED_MESSAGE,
    END,
    MASK,
    TOOL_ARGS,
    Subject,
    agent_subject,
    read_frame,
)
from app.protocol.texts import USER, spoken_in
from app.relay.guarded_frames import GuardedFrames, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.protocol.session import Session
    from app.relay.interface import FrameHandler, UpstreamFrameTarget, UpstreamLegEvents
    from app.relay.session_guard import SessionGuard
    from app.relay.upstream_leg import UpstreamLeg
    from app.websocket.interface import CloseEvent
    from blackbox_relay.guardrail import On, Verdict

TYPES: Final[Mapping[On, str]] = MappingProxyType({"agent": TEXT, "tool_args": TOOL_REQUEST})
"""The types of frames that hold what is judged."""


class GuardedUpstream(GuardedFrames):
    """What the vendor sends: texts of the agent, and requests for tools."""

    def __init__(
        self,
        inner: FrameHandler,
        guard: SessionGuard,
        session: Session,
        target: UpstreamFrameTarget,
    ) -> None:
        super().__init__(inner, guard, target.crashed, TYPES)
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
