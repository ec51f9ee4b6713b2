"""How many frames of each type, and how many bytes, went each way: plain numbers, a closed set."""

from __future__ import annotations

from app.protocol.frames import BROWSER_TYPES, OTHER, UPSTREAM_TYPES


class DirectionCounters:
    """Frames by type, and bytes, in one direction.

    Frames of one type often follow one another: they are added to their type when another comes,
    or when the numbers are read.
    """

    __slots__ = ("_frames", "_kind", "_run", "size")

    def __init__(self, types: frozenset[str]) -> None:
        self._frames = dict.fromkeys((*sorted(types), OTHER), 0)
        self._kind = OTHER  # of the latest frame
        self._run = 0  # how many of it are not in `_frames` yet
        self.size = 0

    @property
    def frames(self) -> dict[str, int]:
        """Frames by type, all that came until now."""
        self._add_run()
        return self._frames

    def add(self, kind: str, size: int) -> None:
        """Count one frame of `size` bytes; an unknown type counts as `other`."""
        self.size += size
        if kind is not self._kind:
            self._add_run()
            self._kind = kind
        self._run += 1

    def _add_run(self) -> None:
        kind = self._kind if self._kind in self._frames else OTHER
        self._frames[kind] += self._run
        self._run = 0


class FrameCounters:
    """Both directions. One is shared by all sessions of a process."""

    def __init__(self) -> None:
        self.from_browser = DirectionCounters(BROWSER_TYPES)
        self.from_upstream = DirectionCounters(UPSTREAM_TYPES)
