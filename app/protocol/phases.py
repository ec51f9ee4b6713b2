"""The states of a session as a table: which event leads to which state.

    CONNECTING ─INITIALIZE_SENT─▶ INITIALIZING ─FIRST_MESSAGE─▶ OPEN ─END_ANNOUNCED─▶ CLOSING
        │                             │                          │                      │
        └─────────────────────────────┴────────── CLOSED ────────┴──────────────────────┴──▶ CLOSED

CONNECTING: upstream is being dialled; the browser's frames wait. INITIALIZING: `initialize` was
sent and upstream has said nothing yet. CLOSING: upstream announced the end, or was asked for it;
the loss of its socket is a normal end from here on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from app.protocol.errors import IllegalTransition


class Phase(StrEnum):
    """Where a session stands. The values are those of logs and of `GET /v1/sessions`."""

    CONNECTING = "waiting"
    INITIALIZING = "opening"
    OPEN = "live"
    CLOSING = "finished"
    CLOSED = "closed"


class Event(StrEnum):
    """What moves a session on."""

    INITIALIZE_SENT = "initialize sent"
    FIRST_MESSAGE = "first message"
    END_ANNOUNCED = "end announced"
    CLOSED = "closed"


TRANSITIONS: Final = {
    (Phase.CONNECTING, Event.INITIALIZE_SENT): Phase.INITIALIZING,
    (Phase.CONNECTING, Event.CLOSED): Phase.CLOSED,
    (Phase.INITIALIZING, Event.FIRST_MESSAGE): Phase.OPEN,
    (Phase.INITIALIZING, Event.END_ANNOUNCED): Phase.CLOSING,
    (Phase.INITIALIZING, Event.CLOSED): Phase.CLOSED,
    (Phase.OPEN, Event.END_ANNOUNCED): Phase.CLOSING,
    (Phase.OPEN, Event.CLOSED): Phase.CLOSED,
    (Phase.CLOSING, Event.END_ANNOUNCED): Phase.CLOSING,
    (Phase.CLOSING, Event.CLOSED): Phase.CLOSED,
}


def advance(phase: Phase, event: Event) -> Phase:
    """Return the next phase. Raises `IllegalTransition` where the table knows none."""
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise IllegalTransition(f"{event} in phase {phase}") from None
