"""What the vendor sends that no document lists: a bounded set of shapes, of this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from app.protocol.shapes import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

MAX_SHAPES: Final = 64


@dataclass(slots=True)
class SeenShape:
    """One shape. `kind` is `type`, `field` or `event`; times are Unix seconds."""

    kind: str
    shape: str
    count: int
    first_seen: float
    last_seen: float


def log_new_shape(seen: SeenShape) -> None:
    """Write the one log line of a shape."""
    log.info(
        "upstream_unknown",
        kind=seen.kind,
        shape=seen.shape,
        advice="the vendor sends what is new to the gateway: it is passed on; report the shape",
    )


class DriftLog:
    """Keeps shapes; those beyond `limit` are counted in `omitted` alone.

    `on_new` is called with each shape once. `mask` takes out of a shape, which is JSON, what is not
    to be kept: members may have any name.
    """

    def __init__(
        self,
        on_new: Callable[[SeenShape], None] = lambda _: None,
        limit: int = MAX_SHAPES,
        mask: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._mask = mask
        self.omitted = 0
        self._on_new = on_new
        self._limit = limit
        self._seen: dict[str, SeenShape] = {}

    def note(self, kind: str, payload: bytes, at: float) -> None:
        """Keep the shape of a frame that was decoded once already."""
        try:
            frame = orjson.loads(payload)
        except orjson.JSONDecodeError:
            self.omitted += 1  # it holds a number that no double can hold
            return
        shape = shape_of(frame)
        if self._mask is not None:
            shape = self._mask(shape.encode()).decode()
        known = self._seen.get(shape)
        if known is not None:
            known.count += 1
            known.last_seen = at
        elif len(self._seen) >= self._limit:
            self.omitted += 1
        else:
            new = self._seen[shape] = SeenShape(kind, shape, 1, at, at)
            self._on_new(new)

    def view(self) -> dict[str, Any]:
        """Everything that is kept, the latest first."""
        latest = sorted(self._seen.values(), key=lambda seen: seen.last_seen, reverse=True)
        return {
            "shapes": [
                {
                    "kind": seen.kind,
                    "shape": orjson.loads(seen.shape),
                    "count": seen.count,
                    "first_seen": round(seen.first_seen, 3),
                    "last_seen": round(seen.last_seen, 3),
                }
                for seen in latest
            ],
            "omitted": self.omitted,
        }
