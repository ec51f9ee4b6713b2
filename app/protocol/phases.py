"""The life of a session as a table: which event leads where, and nothing else does.

    WAITING ──opened──▶ OPENING ──heard──▶ LIVE ──finished──▶ FINISHED
       │                   │                │                    │
       └───────────────────┴──── closed ────┴────────────────────┴──▶ CLOSED

WAITING: upstream is being dialled; the browser's frames wait. OPENING: `initialize` was sent and
upstream has said nothing yet. FINISHED: upstream announced the end, or was asked for it; the loss
of its socket is a normal end from here on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from app.errors import IllegalTransition


class Phase(StrEnum):
    """Where a session stands."""

    WAITING = "waiting"
    OPENING = "opening"
    LIVE = "live"
    FINISHED = "finished"
    CLOSED = "closed"


class Event(StrEnum):
    """What moves a session on."""

    OPENED = "opened"
    HEARD = "heard"
    FINISHED = "finished"
    CLOSED = "closed"


TRANSITIONS: Final = {
    (Phase.WAITING, Event.OPENED): Phase.OPENING,
    (Phase.WAITING, Event.CLOSED): Phase.CLOSED,
    (Phase.OPENING, Event.HEARD): Phase.LIVE,
    (Phase.OPENING, Event.FINISHED): Phase.FINISHED,
    (Phase.OPENING, Event.CLOSED): Phase.CLOSED,
    (Phase.LIVE, Event.FINISHED): Phase.FINISHED,
    (Phase.LIVE, Event.CLOSED): Phase.CLOSED,
    (Phase.FINISHED, Event.FINISHED): Phase.FINISHED,
    (Phase.FINISHED, Event.CLOSED): Phase.CLOSED,
}


def advance(phase: Phase, event: Event) -> Phase:
    """Return the next phase. Raises `IllegalTransition` where the table knows none."""
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise IllegalTransition(f"{event} in phase {phase}") from None
