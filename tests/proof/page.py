"""docs/PROOF.md, drawn from the reports in docs/proof/."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.proof.report import REPORTS

if TYPE_CHECKING:
    from pathlib import Path

CHAOS: Final = ("resume", "rolling", "crash", "stores")
ORDER: Final = (
    *("resume", "rolling", "crash", "hostile", "credentials", "secrets", "tools", "stores"),
    *("soak", "mutation"),
)
HEAD: Final = """# Proof

What was really run, how often, and what was lost. Each section is drawn from a report in
[docs/proof](proof/), which `python -m tests.proof NAME` writes; `make proof` renews all of them
within their usual bounds, `make chaos` those of cuts, releases, crashes and stores, and
`make soak HOURS=1` the one that takes long. The seed makes the inputs of a run come again
(`--seed`); `--count` and `--seconds` bound it, `--add` adds a run to those of other seeds on the
same commit. A proof without a section was not run at length.

A commit with `+` behind it had changes that were not committed. *Load* is the machine's at the end
of the run: above the number of processors, others used it at the same time.
"""


def draw(directory: Path = REPORTS) -> str:
    """The page, of the reports that there are."""
    paths = [directory / f"{name}.json" for name in ORDER]
    reports = [json.loads(path.read_text()) for path in paths if path.exists()]
    return "\n".join([HEAD, _table(reports), *map(_section, reports)])


def write(directory: Path = REPORTS) -> None:
    """Write the page beside the folder of the reports."""
    (directory.parent / "PROOF.md").write_text(draw(directory))


def _table(reports: list[dict[str, Any]]) -> str:
    rows = [
        f"| [{report['name']}](#{report['name']}) | {report['verdict']} | {report['lost']} | "
        f"{_most(report)} | {_seconds(report['seconds'])} |"
        for report in reports
    ]
    return "\n".join(
        ["| proof | verdict | lost | done | took |", "|---|---|---|---|---|", *rows, ""]
    )


def _most(report: dict[str, Any]) -> str:
    name, number = next(iter(report["done"].items()), ("nothing", 0))
    return f"{number:,} {name}"


def _section(report: dict[str, Any]) -> str:
    lines = [
        f"## {report['name']}",
        "",
        f"{report['promise'][0].upper()}{report['promise'][1:]}.",
        "",
        f"**{report['verdict'].capitalize()}**: {report['lost']} lost.",
        "",
        "| done | |",
        "|---|---|",
        *(f"| {name} | {number:,} |" for name, number in report["done"].items()),
        "",
        *(f"- lost: `{found}`" for found in report["found"]),
        *(f"- unfinished: `{what}`" for what in report["unfinished"]),
        *(f"- `{note.replace('`', chr(39))}`" for note in report["notes"]),
        *([""] if report["found"] or report["notes"] or report["unfinished"] else []),
        _told(report),
        "",
    ]
    return "\n".join(lines)


def _told(report: dict[str, Any]) -> str:
    machine, asked, commit = report["machine"], report["asked"], report["commit"]
    seeds, cpu = report["seeds"], report["cpu_seconds"]
    told = ", ".join(map(str, seeds))
    runs = f"Seed {seeds[0]}," if len(seeds) == 1 else f"In {len(seeds)} runs, seeds {told}, each"
    ended = ", interrupted before that" if report["interrupted"] else ""
    used = "" if cpu is None else f" ({_seconds(cpu)} of CPU time)"
    return (
        f"{runs} bounded by {asked['count']:,} {asked['unit']} or "
        f"{_seconds(asked['seconds'])}{ended}; took {_seconds(report['seconds'])}{used} on "
        f"{report['date'][:10]}. Commit `{commit[:12]}{'+' if commit.endswith('+') else ''}`, "
        f"{machine['build']} build, Python {machine['python']}, {machine['processors']} "
        f"processors, {machine['memory_gib']} GiB, {machine['system']}, load {machine['load']}."
    )


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
