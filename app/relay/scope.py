"""What the parts of one conversation share: who talks, by which rules, within which bounds."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, time
from typing import TYPE_CHECKING

from app.protocol.rate_limit import TokenBucket
from app.protocol.replay_buffer import ReplayBuffer
from app.protocol.session import Session
from app.relay.observer import ConversationObserver
from app.relay.session_guard import session_guard

if TYPE_CHECKING:
    from app.relay.dependencies import Conversation, RelayDependencies, RelayLimits
    from app.relay.session_guard import SessionGuard


@dataclass(slots=True)
class Scope:
    """One conversation. `session` holds the rules of its first page.

    `epoch` is the Unix time at which the monotonic clock was zero. `resume_window` is in seconds,
    and 0 where a browser that is gone cannot come back. `conversation` and `dependencies` change
    once at most: where the agent cannot be dialled and another one stands in. `guard` judges
    texts; None where no guardrail is for the agent, nor for the one that may stand in.
    """

    conversation: Conversation
    dependencies: RelayDependencies
    limits: RelayLimits
    observer: ConversationObserver
    session: Session
    epoch: float
    resume_window: float
    guard: SessionGuard | None = None

    def now(self) -> float:
        """Unix seconds that never jump."""
        return self.epoch + monotonic()


def open_scope(
    conversation: Conversation, dependencies: RelayDependencies, limits: RelayLimits
) -> Scope:
    """Begin a conversation. It can be resumed where it has a token, and the bounds a window."""
    resumable = conversation.resume_token is not None and limits.resume_window > 0
    observer, epoch = ConversationObserver(conversation, dependencies), time() - monotonic()
    return Scope(
        conversation,
        dependencies,
        limits,
        observer,
        new_session(conversation, dependencies, limits, resumable=resumable),
        epoch,
        limits.resume_window if resumable else 0.0,
        session_guard(conversation, dependencies, observer, epoch),
    )


def new_session(
    conversation: Conversation,
    dependencies: RelayDependencies,
    limits: RelayLimits,
    *,
    resumable: bool,
) -> Session:
    """The rules for one page: its own counts, bounds and what is held for it."""
    return Session(
        conversation.id,
        conversation.profile,
        dependencies.tools(),
        TokenBucket(limits.frames_per_second, limits.frame_burst),
        ReplayBuffer(limits.resume_buffer if resumable else None),
        dependencies.metrics.frame_counters,
        dependencies.secrets,
    )
