"""How many frames of each type, and how many bytes, went each way: plain numbers, a closed set."""

from __future__ import annotations

from app.protocol.frames import BROWSER_TYPES, OTHER, UPSTREAM_TYPES


class DirectionCounters:
    """Frames by type, and bytes, in one direction."""

    __slots__ = ("frames", "size")

    def __init__(self, types: frozenset[str]) -> None:
        self.frames = dict.fromkeys((*sorted(types), OTHER), 0)
        self.size = 0

    def add(self, kind: str, size: int) -> None:
        """Count one frame of `size` bytes; an unknown type counts as `other`."""
        self.size += size
        try:
            self.frames[kind] += 1
        except KeyError:
            self.frames[OTHER] += 1


class FrameCounters:
    """Both directions. One is shared by all sessions of a process."""

    def __init__(self) -> None:
        self.from_browser = DirectionCounters(BROWSER_TYPES)
        self.from_upstream = DirectionCounters(UPSTREAM_TYPES)
