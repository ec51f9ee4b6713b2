"""What is counted per frame, in plain numbers, as Prometheus collects it."""

from __future__ import annotations

from collections import Counter as Tallied
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from app.telemetry.labels import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from app.protocol.frame_counters import FrameCounters
    from app.telemetry.latency import Latency


class FrameCollector(Collector):
    """Turns the plain numbers of the hot path into metric families.

    `live` yields the agent and the call type of each session, `outbox` is how many bytes wait for
    browsers.
    """

    def __init__(
        self, counters: FrameCounters, from_browser: Latency, from_upstream: Latency
    ) -> None:
        self.live: Callable[[], Iterable[tuple[str, str]]] = tuple
        self.outbox: Callable[[], int] = int
        self._counters = counters
        self._from_browser = from_browser
        self._from_upstream = from_upstream

    def collect(self) -> Iterator[Metric]:
        """Read the numbers as they stand."""
        sessions = GaugeMetricFamily(
            "relay_sessions", "Live sessions.", labels=LABELS["relay_sessions"]
        )
        for labels, count in Tallied(self.live()).items():
            sessions.add_metric(labels, count)
        yield sessions
        frames = CounterMetricFamily(
            "relay_frames", "Frames that arrived.", labels=LABELS["relay_frames_total"]
        )
        size = CounterMetricFamily(
            "relay_frame_bytes",
            "Bytes of the frames that arrived.",
            labels=LABELS["relay_frame_bytes_total"],
        )
        latency = HistogramMetricFamily(
            "relay_latency_seconds",
            "From the first arrival in a turn of the loop to its last write, for each frame in it.",
            labels=LABELS["relay_latency_seconds"],
        )
        for direction, counted, observed in (
            ("from_browser", self._counters.from_browser, self._from_browser),
            ("from_upstream", self._counters.from_upstream, self._from_upstream),
        ):
            for kind, count in counted.frames.items():
                frames.add_metric((direction, kind), count)
            size.add_metric((direction,), counted.size)
            latency.add_metric((direction,), observed.buckets(), observed.total)
        yield from (frames, size, latency)
        yield GaugeMetricFamily(
            "relay_outbox_bytes", "Bytes that wait for slow readers.", self.outbox()
        )
