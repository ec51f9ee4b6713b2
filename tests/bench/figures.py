"""Figures: what the samples of one run come to, and how they are kept."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


TIMES: Final = "\N{MULTIPLICATION SIGN}"
TO: Final = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Spread:
    """Several rounds of one figure."""

    median: float
    low: float
    high: float
    rounds: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Summarise samples; there is at least one."""
        return Spread(statistics.median(values), min(values), max(values), len(values))


def with_worst(figures: Mapping[str, Spread]) -> dict[str, Spread]:
    """Add to figures by kind of frame (`us_250:shuffled`) the worst kind's, as `us_250`."""
    found = dict(figures)
    for name, spread in figures.items():
        figure, _, kind = name.partition(":")
        if kind and (figure not in found or spread.median > found[figure].median):
            found[figure] = spread
    return found


@dataclass(frozen=True, slots=True)
class Report:
    """One run. `figures` by peer and name; `machine` names it and the versions of everything."""

    date: str
    machine: Mapping[str, str]
    plan: Mapping[str, float]
    titles: Mapping[str, str]
    figures: Mapping[str, Mapping[str, Spread]]
    faults: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0
    elsewhere: float = 0

    def get(self, peer: str, figure: str) -> Spread | None:
        """Return a figure, or None where it was not measured."""
        return self.figures.get(peer, {}).get(figure)

    def ratio(self, figure: str, peer: str, against: str) -> float | None:
        """Divide one peer's median by another's."""
        ours, theirs = self.get(peer, figure), self.get(against, figure)
        if ours is None or theirs is None or theirs.median == 0:
            return None
        return ours.median / theirs.median

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @staticmethod
    def read(path: Path) -> Report:
        """Take up a kept one."""
        kept: dict[str, Any] = json.loads(path.read_text())
        kept["figures"] = {
            peer: {name: Spread(**spread) for name, spread in figures.items()}
            for peer, figures in kept["figures"].items()
        }
        return Report(**kept)
