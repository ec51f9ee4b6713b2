"""What a replica publishes of a live session: its row as it is now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.relay.relay import Relay
    from app.state.interface import SessionRow


def current(row: SessionRow, relay: Relay) -> SessionRow:
    """Return `row` with what has become of its session since."""
    session = relay.session
    return replace(
        row,
        agent=relay.conversation.profile.name,
        requested_agent=relay.conversation.profile.requested_agent,
        call_type=relay.call_type.value,
        phase="queued" if relay.queue.is_waiting else session.phase.value,
        browser=relay.browser_state,
        frames_in=relay.frames_received,
        frames_out=session.outgoing.count,
        bytes_in=session.size_received,
        bytes_out=session.outgoing.sent,
        tools=relay.tools_running,
        seconds=max(0.0, (relay.ended_at or relay.now()) - row.started_at),
        **({} if relay.control is None else relay.control.row()),
    )
