"""Who watches one conversation as it happens.

Subscribers get contents, masked if that is set; the caller that passes them on decides who may see
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from app.history.interface import Direction
from app.protocol.redaction_stream import StreamRedaction
from app.protocol.texts import spoken_in
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from app.protocol.redaction import Redaction

FRAME: Final = "frame"
Subscriber = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class EventSubscribers:
    """The watchers of one conversation; there are none nearly always, and then nothing is built."""

    callbacks: set[Subscriber]
    redaction: Redaction | None = None
    _texts: StreamRedaction | None = field(default=None, init=False, repr=False)

    def frame(self, direction: Direction, at: float, payload: bytes) -> None:
        """Show a frame as it passes."""
        frame = _read(payload)
        if self.redaction is not None:
            frame = self._masked(frame, self.redaction)  # before any of it is cut
        held = {"held": True} if direction is Direction.HELD else {}
        if held:
            direction = Direction.FROM_UPSTREAM
        self.publish(
            kind=FRAME,
            at=at,
            direction=direction.value,
            type=str(frame.get("type", ""))[:64],
            name=str(frame["name"])[:64] if "name" in frame else None,
            bytes=len(payload),
            content=frame,
            **held,
        )

    def publish(self, *, kind: str, at: float, **facts: Any) -> None:
        """Show any other event: a phase, a tool, the browser's coming and going."""
        if self.redaction is not None and kind != FRAME:
            facts = self.redaction.mask_value(facts)
        event = {"at": round(at, 3), "kind": kind, **facts}
        for watcher in tuple(self.callbacks):
            watcher(event)

    def _masked(self, frame: dict[str, Any], redaction: Redaction) -> dict[str, Any]:
        """Mask a frame; a turn's text in pieces is looked at over all of its pieces."""
        spoken = spoken_in(frame)
        if spoken is not None and not spoken.partial:
            self._texts = self._texts or StreamRedaction(redaction)
            frame = spoken.replaced(frame, self._texts.piece(spoken.source, spoken.text))
        masked: dict[str, Any] = redaction.mask_value(frame)
        return masked


def _read(payload: bytes) -> dict[str, Any]:
    try:
        frame = exact_json.loads_all(payload)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}
