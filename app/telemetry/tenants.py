"""Metrics of tenants; the label `tenant` takes its values from `RELAY_TENANTS` alone."""

from __future__ import annotations

from collections import Counter as Tallied
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

TENANT_LABELS: Final[dict[str, tuple[str, ...]]] = {
    "relay_tenant_sessions": ("tenant",),
    "relay_tenant_sessions_total": ("tenant", "call_type", "close_code"),
    "relay_tenant_minutes_total": ("tenant", "call_type"),
    "relay_tenant_refusals_total": ("tenant", "reason"),
    "relay_tenant_budget_used_ratio": ("tenant", "period"),
}


class TenantMetrics:
    """What this replica counts of each tenant."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.live: Callable[[], Iterable[str]] = tuple  # the tenant of each live session
        registry.register(_LiveCollector(self))
        self.sessions_total = Counter(
            "relay_tenant_sessions_total",
            "Sessions of a tenant's agents that ended.",
            TENANT_LABELS["relay_tenant_sessions_total"],
            registry=registry,
        )
        self.minutes_total = Counter(
            "relay_tenant_minutes_total",
            "Minutes of a tenant's sessions that ended.",
            TENANT_LABELS["relay_tenant_minutes_total"],
            registry=registry,
        )
        self.refusals_total = Counter(
            "relay_tenant_refusals_total",
            "Sessions refused by a tenant's bounds and budgets.",
            TENANT_LABELS["relay_tenant_refusals_total"],
            registry=registry,
        )
        self.budget_used_ratio = Gauge(
            "relay_tenant_budget_used_ratio",
            "Which part of a tenant's budget all replicas have used, as this one last saw it.",
            TENANT_LABELS["relay_tenant_budget_used_ratio"],
            registry=registry,
        )


class _LiveCollector(Collector):
    """Counts the live sessions when Prometheus asks."""

    def __init__(self, metrics: TenantMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Count them."""
        live = GaugeMetricFamily(
            "relay_tenant_sessions",
            "Live sessions of a tenant's agents.",
            labels=TENANT_LABELS["relay_tenant_sessions"],
        )
        for tenant, count in Tallied(self._metrics.live()).items():
            live.add_metric((tenant,), count)
        yield live
