"""Who watches one conversation as it happens.

Subscribers get contents; the caller that passes them on decides who may see them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.history.interface import Direction
from blackbox_relay import exact_json

Subscriber = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class EventSubscribers:
    """The watchers of one conversation; there are none nearly always, and then nothing is built."""

    callbacks: set[Subscriber]

    def frame(self, direction: Direction, at: float, payload: bytes) -> None:
        """Show a frame as it passes."""
        frame = _read(payload)
        held = {"held": True} if direction is Direction.HELD else {}
        if held:
            direction = Direction.FROM_UPSTREAM
        self.publish(
            kind="frame",
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
        event = {"at": round(at, 3), "kind": kind, **facts}
        for watcher in tuple(self.callbacks):
            watcher(event)


def _read(payload: bytes) -> dict[str, Any]:
    try:
        frame = exact_json.loads_all(payload)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}
