"""How the vendor's frames vary: the same meaning, written in every way that was seen or feared.

Everything turns on counters, never on chance, so that a failing test fails again.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any, Final

import orjson

Frame = dict[str, Any]
TimestampFormat = Callable[[dt.datetime], str]

TIMESTAMPS: Final[tuple[TimestampFormat, ...]] = (
    lambda t: f"{t:%Y-%m-%dT%H:%M:%S}.{t.microsecond // 1000:03}Z",
    lambda t: f"{t:%Y-%m-%dT%H:%M:%S}.{t.microsecond:06}0Z",  # .NET's seven digits
    lambda t: f"{t:%Y-%m-%dT%H:%M:%S}.{t.microsecond:06}+00:00",
    lambda t: f"{t:%Y-%m-%dT%H:%M:%S}Z",
)
UNKNOWN_FRAMES: Final[tuple[Frame, ...]] = (
    {"type": "agentState", "data": {"state": "listening", "score": 0.25}},
    {"type": "callStats", "content": None, "data": [1, 2.5, "три", {"nested": True}]},
    {"type": "event", "name": "transcriptionReady", "data": {"language": "en-GB"}},
)


class FrameVariants:
    """One conversation's way of writing. `index` picks it; `plain` is one way, without extras."""

    def __init__(self, index: int, *, plain: bool = False) -> None:
        self._index = index
        self.plain = plain
        self._count = itertools.count()

    @property
    def id_field(self) -> str:
        """What the connection event calls the conversation's id (D: recordId, L: jobId)."""
        return "recordId" if self.plain or self._index % 2 == 0 else "jobId"

    @property
    def sdp_field(self) -> str:
        """What an sdpInvite calls its SDP (L: invite, newer docs: sdpOffer)."""
        return "invite" if self.plain or self._index % 2 == 0 else "sdpOffer"

    def unknown_frames(self) -> tuple[Frame, ...]:
        """Frames of types and names that no document lists."""
        return () if self.plain else (UNKNOWN_FRAMES[self._index % len(UNKNOWN_FRAMES)],)

    def timestamp(self, turn: int = 0) -> str:
        """Now, as ISO 8601 in one of the formats."""
        return TIMESTAMPS[0 if self.plain else turn % len(TIMESTAMPS)](dt.datetime.now(dt.UTC))

    def write(self, frame: Frame) -> bytes:
        """Fill in the envelope and encode."""
        turn = next(self._count) + self._index
        frame = {"type": frame["type"], "timestamp": self.timestamp(turn), **frame}
        if not self.plain:
            if turn % 3:
                frame.setdefault("channelId", None)
            if turn % 4 == 0:
                frame["traceId"] = f"00-{self._index:08x}-{turn:04x}"
        return orjson.dumps(frame)
