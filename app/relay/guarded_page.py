"""What one page sends, while guardrails judge its chat messages and the results of its tools."""

from __future__ import annotations

from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from app.protocol.frames import INCOMING_CHAT_MESSAGE, TOOL_RESPONSE
from app.protocol.guarding import (
    BLOCK,
    BLOCKED_MESSAGE,
    END,
    MASK,
    TOOL_RESULT,
    Subject,
    error_result,
    read_frame,
    user_subject,
)
from app.relay.guarded_frames import GuardedFrames, Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.protocol.session import Session
    from app.relay.browser_leg import BrowserLeg
    from app.relay.frame_handlers import BrowserFrames
    from app.relay.interface import BrowserFrameTarget
    from app.relay.session_guard import SessionGuard
    from app.relay.upstream_leg import UpstreamLeg
    from blackbox_relay.guardrail import On, Verdict

TYPES: Final[Mapping[On, str]] = MappingProxyType(
    {"user": INCOMING_CHAT_MESSAGE, "tool_result": TOOL_RESPONSE}
)
"""The types of frames that hold what is judged."""


class GuardedPage(GuardedFrames):
    """What one page sends: chat messages, and results of browser tools."""

    def __init__(
        self,
        inner: BrowserFrames,
        guard: SessionGuard,
        session: Session,
        target: BrowserFrameTarget,
    ) -> None:
        super().__init__(inner, guard, target.crashed, TYPES)
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
