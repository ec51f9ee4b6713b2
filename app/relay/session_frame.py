"""`relay.session`: what a page is told of its conversation before anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from app.protocol import frames

if TYPE_CHECKING:
    from app.protocol.principal import CallType
    from app.relay.control import SessionControl
    from app.relay.pages import Pages
    from app.relay.queueing import QueueWait
    from app.relay.scope import Scope


class SessionFrameHost(Protocol):
    """What the frame tells of its conversation."""

    scope: Scope
    call_type: CallType
    pages: Pages | None
    control: SessionControl | None
    queue: QueueWait


def session_frame(host: SessionFrameHost, token: str | None) -> bytes:
    """`relay.session` for a page that may resume by `token`; None where it may not."""
    scope = host.scope
    conversation, window = scope.conversation, scope.resume_window
    return frames.session_opened(
        scope.now(),
        conversation.id,
        conversation.profile.name,
        host.call_type,
        None if token is None or not window else (token, window),
        0.0 if host.pages is None else scope.limits.chat_keep,
        queued=host.queue.must_wait,
        operator=None if host.control is None else host.control.operator,
    )
