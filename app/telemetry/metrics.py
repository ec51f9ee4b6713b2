"""Every metric of the gateway, defined once. No label takes its value from a client.

What happens per frame is counted in plain numbers and collected when Prometheus asks; what happens
per session or per call goes through prometheus_client as usual.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from app.protocol.frame_counters import FrameCounters
from app.telemetry.frame_collector import FrameCollector
from app.telemetry.labels import LABELS
from app.telemetry.latency import BatchLatency, Latency
from app.telemetry.tenants import TenantMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.protocol.tool import Outcome

NETWORK: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LONG: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)


class Metrics:
    """The process's metrics. `limit` is how many sessions it takes."""

    def __init__(self, limit: int) -> None:
        self.registry = CollectorRegistry()
        self.frame_counters = FrameCounters()
        self.from_browser = Latency()
        self.from_upstream = Latency()
        self.batch_latency = BatchLatency(self.from_browser, self.from_upstream)
        registry = self.registry
        self.sessions_total = Counter(
            "relay_sessions_total",
            "Sessions that ended.",
            LABELS["relay_sessions_total"],
            registry=registry,
        )
        self.session_seconds = Histogram(
            "relay_session_seconds", "How long sessions lasted.", buckets=LONG, registry=registry
        )
        self.upstream_connect_seconds = Histogram(
            "relay_upstream_connect_seconds",
            "How long dialling the vendor took.",
            buckets=NETWORK,
            registry=registry,
        )
        self.upstream_failures_total = Counter(
            "relay_upstream_failures_total",
            "Failed dials.",
            LABELS["relay_upstream_failures_total"],
            registry=registry,
        )
        self.tool_calls_total = Counter(
            "relay_tool_calls_total",
            "Tool calls.",
            LABELS["relay_tool_calls_total"],
            registry=registry,
        )
        self.tool_seconds = Histogram(
            "relay_tool_seconds",
            "How long tools took.",
            LABELS["relay_tool_seconds"],
            buckets=NETWORK,
            registry=registry,
        )
        self.refusals_total = Counter(
            "relay_refusals_total",
            "Refused browsers and frames.",
            LABELS["relay_refusals_total"],
            registry=registry,
        )
        self.routed_sessions_total = Counter(
            "relay_routed_sessions_total",
            "Sessions that another agent serves than the one asked for, by `route` or `fallback`.",
            LABELS["relay_routed_sessions_total"],
            registry=registry,
        )
        self.resumes_total = Counter(
            "relay_resumes_total",
            "Attempts to resume.",
            LABELS["relay_resumes_total"],
            registry=registry,
        )
        self.loop_lag_seconds = Gauge(
            "relay_loop_lag_seconds", "How late the event loop runs.", registry=registry
        )
        self.upstream_unknown_types_total = Counter(
            "relay_upstream_unknown_types_total",
            "Frames from the vendor with an unknown type, field or event.",
            LABELS["relay_upstream_unknown_types_total"],
            registry=registry,
        )
        self.upstream_oddities_total = Counter(
            "relay_upstream_oddities_total",
            "Frames from the vendor that were not relayed as they came.",
            LABELS["relay_upstream_oddities_total"],
            registry=registry,
        )
        self.control_total = Counter(
            "relay_control_total",
            "Commands of backends and operators on live sessions.",
            LABELS["relay_control_total"],
            registry=registry,
        )
        self.state_errors_total = Counter(
            "relay_state_errors_total",
            "Failed calls to the shared store.",
            LABELS["relay_state_errors_total"],
            registry=registry,
        )
        self.history_dropped_total = Counter(
            "relay_history_dropped_total",
            "Records that history lost.",
            LABELS["relay_history_dropped_total"],
            registry=registry,
        )
        self.results_total = Counter(
            "relay_results_total",
            "Result webhooks.",
            LABELS["relay_results_total"],
            registry=registry,
        )
        self.guardrail_total = Counter(
            "relay_guardrail_total",
            "Verdicts of guardrails, those that `on_error` gave included.",
            LABELS["relay_guardrail_total"],
            registry=registry,
        )
        self.guardrail_errors_total = Counter(
            "relay_guardrail_errors_total",
            "Texts that a guardrail gave no verdict on: `on_error` decided.",
            LABELS["relay_guardrail_errors_total"],
            registry=registry,
        )
        self.guardrail_seconds = Histogram(
            "relay_guardrail_seconds",
            "How long guardrails took for a verdict.",
            LABELS["relay_guardrail_seconds"],
            buckets=NETWORK,
            registry=registry,
        )
        self.event_deliveries_total = Counter(
            "relay_event_deliveries_total",
            "Tries to deliver lifecycle events, and events given up or dropped.",
            LABELS["relay_event_deliveries_total"],
            registry=registry,
        )
        self.event_backlog = Gauge(
            "relay_event_backlog",
            "Lifecycle events that wait: of all replicas with history, else of this one.",
            LABELS["relay_event_backlog"],
            registry=registry,
        )
        self.upstream_reachable = Gauge(
            "relay_upstream_reachable",
            "1 if the vendor's info page answered when it was last looked at; NaN if it never was.",
            registry=registry,
        )
        self.upstream_reachable.set(nan)
        self.upstream_places = Gauge(
            "relay_upstream_places",
            "The most upstream sessions of all replicas; NaN without a bound.",
            registry=registry,
        )
        self.upstream_places.set(nan)
        self.upstream_places_held = Gauge(
            "relay_upstream_places_held",
            "Upstream sessions of all replicas that the bound counts.",
            registry=registry,
        )
        self.queue_waiting = Gauge(
            "relay_queue_waiting",
            "Sessions of this replica that wait for an upstream session.",
            registry=registry,
        )
        self.queue_wait_seconds = Histogram(
            "relay_queue_wait_seconds",
            "How long sessions waited that got an upstream session later than at once.",
            buckets=LONG,
            registry=registry,
        )
        self.tenants = TenantMetrics(registry)
        self.config_reloads_total = Counter(
            "relay_config_reloads_total",
            "Reloads of agents and tenants: applied, unchanged or refused.",
            LABELS["relay_config_reloads_total"],
            registry=registry,
        )
        Counter(
            "relay_worker_restarts_total",
            "Workers that had died and were started again.",
            registry=registry,
        )
        self.draining = Gauge("relay_draining", "1 while this replica drains.", registry=registry)
        self.ready = Gauge("relay_ready", "1 while this replica takes sessions.", registry=registry)
        Gauge(
            "relay_sessions_limit", "The most sessions this replica takes.", registry=registry
        ).set(limit)
        self._frames = FrameCollector(self.frame_counters, self.from_browser, self.from_upstream)
        self.registry.register(self._frames)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        for kind in ("type", "field", "event"):
            self.upstream_unknown_types_total.labels(kind)
        for outcome in ("resumed", "cannot_resume", "elsewhere"):
            self.resumes_total.labels(outcome)

    def bind(
        self, live: Callable[[], Iterable[tuple[str, str]]], outbox: Callable[[], int]
    ) -> None:
        """Say where to look when asked: (agent, call type) of live sessions, bytes that wait."""
        self._frames.live, self._frames.outbox = live, outbox

    def described(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        """Name, kind, labels and meaning of every metric, by name."""
        described = []
        for metric in self.registry.collect():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            described.append((name, metric.type, LABELS.get(name, ()), metric.documentation))
        return sorted(described)

    def tool_finished(self, name: str, outcome: Outcome, seconds: float) -> None:
        """Count a tool call; `name` is one of a closed set, wherever the tool runs."""
        self.tool_calls_total.labels(name, outcome.value).inc()
        self.tool_seconds.labels(name).observe(seconds)

    def exposition(self) -> bytes:
        """What `/metrics` answers: Prometheus' text format."""
        return generate_latest(self.registry)
