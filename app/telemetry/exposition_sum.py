"""The metrics of several processes as one text: counters and sizes add up, states do not.

Texts are those of `Metrics.exposition`: Prometheus' format, a family's series behind its HELP and
TYPE, no timestamps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Final

from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Iterable

CUMULATIVE: Final = frozenset({"counter", "histogram", "summary"})
"""Types of which a process that has ended keeps its part."""
GREATEST: Final = frozenset(
    {
        *("relay_loop_lag_seconds", "relay_draining", "relay_upstream_reachable"),
        # Every process says the same of all of them, or what it saw last.
        *("relay_upstream_places", "relay_upstream_places_held"),
        *("relay_tenant_budget_used_ratio", "python_info", "process_max_fds"),
    }
)
LEAST: Final = frozenset({"relay_ready", "process_start_time_seconds"})


@dataclass(slots=True)
class _Family:
    head: list[str] = field(default_factory=list)
    kind: str = "untyped"
    series: dict[str, float] = field(default_factory=dict)


class ExpositionSum:
    """Adds texts up. `greatest` names more gauges of which the greatest value counts."""

    def __init__(self, greatest: Iterable[str] = ()) -> None:
        self._greatest = GREATEST.union(greatest)
        self._families: dict[str, _Family] = {}

    def add(self, text: str, *, ended: bool = False) -> None:
        """Add one process's text; of one that has `ended`, what only grows. Bad lines are left."""
        family = _Family()
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                family = self._families.setdefault(name, _Family())
                if not family.head:
                    family.head.append(line)
            elif line.startswith("# TYPE "):
                name, _, kind = line[7:].partition(" ")
                family = self._families.setdefault(name, family)
                if len(family.head) < 2:  # noqa: PLR2004 - HELP and TYPE
                    family.head.append(line)
                family.kind = kind
            elif line[:1] not in {"", "#"} and not (ended and family.kind not in CUMULATIVE):
                self._add(family, line)

    def text(self) -> str:
        """The sum."""
        lines: list[str] = []
        for family in self._families.values():
            if family.series:
                lines += family.head
                lines += [f"{name} {_written(value)}" for name, value in family.series.items()]
        return "\n".join([*lines, ""])

    def _add(self, family: _Family, line: str) -> None:
        series, _, written = line.rpartition(" ")
        try:
            value = float(written)
        except ValueError:
            return
        before = family.series.get(series)
        if before is None or isnan(before):
            family.series[series] = value
        elif not isnan(value):
            family.series[series] = self._combined(series.partition("{")[0], before, value)

    def _combined(self, name: str, before: float, value: float) -> float:
        if name in LEAST or name.endswith("_created"):
            return min(before, value)
        return max(before, value) if name in self._greatest else before + value


def _written(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text
