"""Lifecycle events, masked before any receiver has them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.protocol.redaction import Redaction
    from app.relay.lifecycle import LifecycleEvent, LifecycleEvents


class RedactedEvents:
    """Masks the data of each event by `redaction`, and hands it on."""

    def __init__(self, inner: LifecycleEvents, redaction: Redaction) -> None:
        self._inner = inner
        self._redaction = redaction

    def emit(self, event: LifecycleEvent) -> None:
        """Hand over one event."""
        self._inner.emit(replace(event, data=self._redaction.mask_value(dict(event.data))))


def redacted(events: LifecycleEvents | None, redaction: Redaction | None) -> LifecycleEvents | None:
    """Return what takes events: `events` itself where there is nothing to mask, or no receiver."""
    if events is None or redaction is None:
        return events
    return RedactedEvents(events, redaction)
