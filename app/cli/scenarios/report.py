"""What people read of a test run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.cli.terminal import BOLD, DIM, GREEN, RED, Style, printable

if TYPE_CHECKING:
    from app.cli.scenarios.files import LoadedScenario
    from app.cli.scenarios.player import Difference, Run

INDENT: Final = " " * 6


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario with all its runs; `wanted` is the share of them that has to hold, 0 to 1."""

    loaded: LoadedScenario
    runs: tuple[Run, ...]
    wanted: float

    @property
    def rate(self) -> float:
        """The share of runs that held, 0 to 1."""
        return sum(run.held for run in self.runs) / len(self.runs)

    @property
    def held(self) -> bool:
        """Whether enough runs held."""
        return self.rate >= self.wanted

    @property
    def seconds(self) -> float:
        """How long all runs took."""
        return sum(run.seconds for run in self.runs)

    @property
    def failed_runs(self) -> list[tuple[int, Run]]:
        """The runs that did not hold, by their number from 1 on."""
        return [(number, run) for number, run in enumerate(self.runs, 1) if not run.held]


def described(played: Played, style: Style) -> str:
    """One scenario's lines: whether it held, and what was different."""
    mark = style("PASS", GREEN) if played.held else style("FAIL", RED, BOLD)
    share = "" if len(played.runs) == 1 else f"  {rate_of(played)}"
    where = style(f"{played.loaded.path}", DIM)
    name = printable(played.loaded.name)
    head = f"{mark}  {name}  {played.seconds:.2f} s{share}  {where}"
    return "\n".join([head, *differences_of(played, style)])


def differences_of(played: Played, style: Style) -> list[str]:
    """The differences of every run that did not hold."""
    lines: list[str] = []
    for number, run in played.failed_runs:
        if len(played.runs) > 1:
            lines.append(f"{INDENT}run {number}:")
        for difference in run.differences:
            lines += _difference(played, difference, style)
        lines += [f"{INDENT}  note: {printable(note)}" for note in dict.fromkeys(run.notes)]
    return lines


def _difference(played: Played, difference: Difference, style: Style) -> list[str]:
    place = f"{played.loaded.path}:{difference.line}"
    say = "" if difference.say is None else f", after {printable(repr(difference.say))}"
    return [
        f"{INDENT}{style(difference.where, BOLD)}{say} ({place})",
        f"{INDENT}  expected  {style(printable(difference.mismatch.expected), GREEN)}",
        f"{INDENT}  received  {style(printable(difference.mismatch.received), RED)}",
    ]


def rate_of(played: Played) -> str:
    """How many runs held, and how many have to."""
    count = sum(run.held for run in played.runs)
    return f"{count} of {len(played.runs)} runs held, {played.wanted:.0%} wanted"


def summary(all_played: list[Played]) -> str:
    """The last line."""
    failed = sum(not played.held for played in all_played)
    total = len(all_played)
    scenarios = "1 scenario" if total == 1 else f"{total} scenarios"
    return f"{scenarios}: {total - failed} held, {failed} failed"
