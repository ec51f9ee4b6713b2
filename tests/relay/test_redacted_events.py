"""Lifecycle events are masked before a receiver has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.protocol.redaction import Redaction
from app.relay.lifecycle import EventType, LifecycleEvent
from app.relay.redacted_events import redacted

if TYPE_CHECKING:
    from app.relay.lifecycle import LifecycleEvents


class Receiver:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[LifecycleEvent] = []

    def emit(self, event: LifecycleEvent) -> None:
        self.events.append(event)


def test_data_are_masked_and_ids_stay() -> None:
    receiver = Receiver()
    events: LifecycleEvents | None = redacted(receiver, Redaction(("email",)))
    assert events is not None
    told = {"operator": "ann@example.com", "seconds": 1.5}
    events.emit(LifecycleEvent(EventType.TAKEOVER_STARTED, "s-1", "support", 7.0, told, "acme"))
    masked = {"operator": "[email]", "seconds": 1.5}
    assert receiver.events == [
        LifecycleEvent(EventType.TAKEOVER_STARTED, "s-1", "support", 7.0, masked, "acme")
    ]


def test_nothing_stands_between_where_nothing_is_masked() -> None:
    receiver = Receiver()
    assert redacted(receiver, None) is receiver
    assert redacted(None, Redaction(("email",))) is None
