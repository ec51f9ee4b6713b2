"""The lifecycle events of one conversation: what of it is told to receivers of webhooks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from app.protocol.tool import Outcome
from app.relay.lifecycle import EventType, LifecycleEvent

if TYPE_CHECKING:
    from app.protocol.approval import SettledApproval
    from app.protocol.close_codes import CloseReason
    from app.relay.dependencies import Conversation
    from app.relay.lifecycle import LifecycleEvents

FAILED: Final = frozenset(
    outcome.value
    for outcome in (
        Outcome.TIMEOUT,
        Outcome.CRASHED,
        Outcome.TOOL_ERROR,
        Outcome.BAD_ARGS,
        Outcome.UNKNOWN,
        Outcome.FALLBACK,
        Outcome.BUSY,
    )
)
BEGUN: Final = frozenset(("running", "asked"))
MAX_NAME: Final = 128
"""Characters of a tool's name, which an agent may have made up."""


class SessionEvents:
    """Emits the events of one conversation; does nothing where no receiver is configured.

    `conversation` is another one where a fallback serves.
    """

    def __init__(self, conversation: Conversation, events: LifecycleEvents | None) -> None:
        self.conversation = conversation
        self._events = events
        self._tool_calls = 0
        self._tools_failed = 0

    def started(self, at: float, call_type: str) -> None:
        """The conversation was settled and is about to be dialled."""
        subject = self.conversation.principal.subject
        self._emit(EventType.SESSION_STARTED, at, call_type=call_type, subject=subject)

    def resumed(self, at: float) -> None:
        """A browser came back."""
        self._emit(EventType.SESSION_RESUMED, at)

    def tool(self, name: str, at: float, state: str, approval: SettledApproval | None) -> None:
        """A tool began, or ended with an outcome; `approval` where it needed one."""
        if state in BEGUN:
            return
        self._tool_calls += 1
        if state in FAILED:
            self._tools_failed += 1
            more = {} if approval is None else {"approval": asdict(approval)}
            self._emit(EventType.TOOL_FAILED, at, tool=name[:MAX_NAME], outcome=state, **more)

    def ended(
        self, at: float, call_type: str, reason: CloseReason, frames: tuple[int, int]
    ) -> None:
        """The conversation is over on both sides. `frames` came from the browser, went to it."""
        self._emit(
            EventType.SESSION_ENDED,
            at,
            call_type=call_type,
            code=reason.code,
            reason=reason.name,
            seconds=round(max(0.0, at - self.conversation.started_at), 3),
            frames_in=frames[0],
            frames_out=frames[1],
            tool_calls=self._tool_calls,
            tools_failed=self._tools_failed,
        )

    def _emit(self, kind: EventType, at: float, **data: Any) -> None:
        if self._events is None:
            return
        conversation, profile = self.conversation, self.conversation.profile
        self._events.emit(
            LifecycleEvent(kind, conversation.id, profile.name, at, data, profile.tenant)
        )
