"""How long frames take through the gateway, noted at the price of an addition."""

from __future__ import annotations

from bisect import bisect_left
from time import monotonic
from typing import Final

FAST: Final = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 1.0)


class Latency:
    """A histogram of seconds. `judged` counts the frames that wait to be written."""

    __slots__ = ("_counts", "pending", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(FAST) + 1)
        self.pending = 0
        self.total = 0.0

    def written(self, seconds: float) -> None:
        """Note that all that was judged has been written, `seconds` after it arrived."""
        if self.pending:
            self.observe(seconds, self.pending)
            self.pending = 0

    def observe(self, seconds: float, frames: int) -> None:
        """Note that `frames` frames took so long from their arrival to their write."""
        self._counts[bisect_left(FAST, seconds)] += frames
        self.total += seconds * frames

    def buckets(self) -> list[tuple[str, float]]:
        """The cumulative counts, as Prometheus wants them."""
        sums, so_far = [], 0
        for bound, count in zip((*FAST, "+Inf"), self._counts, strict=True):
            so_far += count
            sums.append((str(bound), float(so_far)))
        return sums


class BatchLatency:
    """Takes each batch of writes, for both directions."""

    __slots__ = ("_from_browser", "_from_upstream")

    def __init__(self, from_browser: Latency, from_upstream: Latency) -> None:
        self._from_browser = from_browser
        self._from_upstream = from_upstream

    def written(self, began: float) -> None:
        """Note that a turn's frames are written; at `began` (monotonic) the first had arrived."""
        seconds = monotonic() - began
        self._from_browser.written(seconds)
        self._from_upstream.written(seconds)
