"""What the vendor documents of its frames, and what is in one beyond that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.protocol.actions import NOTHING, Count
from app.protocol.frames import ENVELOPE, EVENT, KNOWN_EVENTS, UPSTREAM_TYPES

if TYPE_CHECKING:
    from app.protocol.actions import Actions


def has_known_members(frame: dict[str, Any]) -> bool:
    """Tell whether a frame has no member but those that the vendor is known to send."""
    known = ENVELOPE
    for key in frame:  # noqa: SIM110 - compiled, a loop is quicker than a generator or a view
        if key not in known:
            return False
    return True


def unknown_parts(kind: str, frame: dict[str, Any]) -> Actions:
    """Count what no document of the vendor's lists."""
    if kind not in UPSTREAM_TYPES:
        return (Count("unknown_type"),)
    if not has_known_members(frame):
        return (Count("unknown_field"),)
    if kind == EVENT and not _is_known_event(frame.get("name")):
        return (Count("unknown_event"),)
    return NOTHING


def _is_known_event(name: object) -> bool:
    """Tell whether an event's `name` is one that the vendor documents; it may be any JSON."""
    return type(name) is str and name in KNOWN_EVENTS
