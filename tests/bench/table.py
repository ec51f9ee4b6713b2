"""The table that a run prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.figures import TIMES, TO
from tests.bench.goals import judge
from tests.bench.stages import KINDS, MANY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.figures import Report, Spread

NAME_WIDTH: Final = 24
NOISE: Final = 0.05
"""Share of the machine that others may use before a run says that its figures suffer."""


@dataclass(frozen=True, slots=True)
class Column:
    """One figure: its median, its lowest and highest round, its ratio to nginx's."""

    title: str
    figure: str
    digits: int = 1
    ratio: bool = True


CPU: Final = (Column("250 B", "us_250"), Column("4 KB", "us_4096"), Column("burst", "us_burst", 2))
DELAY: Final = (
    Column("p50", "p50_added", 0),
    Column("p99", "p99_added", 0),
    Column("p50, 500", "p50_crowd_added", 0),
    Column("p99, 500", "p99_crowd_added", 0),
    Column("p50, voice", "p50_voice_added", 0),
    Column("p99, voice", "p99_voice_added", 0),
    Column("p50, catching up", "p50_backlog_added", 0),
    Column("p99, catching up", "p99_backlog_added", 0),
)
HELD: Final = (
    Column("KiB, few", "kib_middle"),
    Column("KiB, many", "kib_most"),
    Column("set-up CPU, ms", "setup_ms", 3),
    Column("set-ups/s", "setup_rate", 0, ratio=False),
    Column("storm, ms", "storm_ms", 3),
    Column("live p99, µs", "storm_p99", 0),
)
GROWTH: Final = (
    Column("µs, 64", "us_few", ratio=False),
    Column("µs, many", "us_many", ratio=False),
    Column("many ÷ 64", "flat", 2, ratio=False),
    Column("9,000 ÷ 64", "flat_most", 2, ratio=False),
)


def render(report: Report) -> str:
    """Return the whole table: heads, four blocks of figures, the goals."""
    plain = [peer for peer in report.titles if not peer.endswith("-wss")]
    tls = [peer for peer in report.titles if peer.endswith("-wss")]
    middle, most = int(report.plan["middle"]), min(MANY, int(report.plan["most"]))
    parts = [
        _head(report),
        _block(report, plain, CPU, "CPU per relayed message, µs", "the worst kind of frame"),
        *(
            _block(
                report, plain, _by_kind(*work), f"CPU by kind of frame, {work[1]}, µs", "the same"
            )
            for work in (
                ("250", "250 B"),
                ("4096", "4 KB"),
                ("burst", "bursts"),
                ("60000", "60 KB"),
            )
        ),
        _block(report, tls, CPU, "The same, wss upstream, µs", "against nginx over TLS"),
        _block(
            report,
            plain + tls,
            DELAY,
            "Added to a round trip, µs",
            f"50 {TIMES} 10 msg/s, 500 {TIMES} 2, a voice transcript beside 200 chats; "
            "catching up: right after saturation",
        ),
        _block(report, plain + tls, HELD, "A session", f"few: {middle:,}, many: {most:,}, idle"),
        _block(report, plain, GROWTH, "CPU per message among many", f"64 and {most:,} at work"),
        _goals(report),
        _foot(report),
    ]
    return "\n\n".join(part for part in parts if part)


def _by_kind(figure: str, _: str) -> tuple[Column, ...]:
    return tuple(Column(kind, f"us_{figure}:{kind}", 1, ratio=False) for kind in KINDS)


def versions(report: Report) -> list[str]:
    """Return two lines: the machine, and what was measured."""
    m = report.machine
    return [
        f"{m['cpu']}, {m['cores']} cores, {m['memory']}, {m['kernel']}",
        (
            f"nginx {m['nginx']} · HAProxy {m['haproxy']} · Node {m['node']}, ws {m['ws']} · "
            f"Python {m['python']}, uvloop {m['uvloop']}, aiohttp {m['aiohttp']}, "
            f"FastAPI {m['fastapi']}, uvicorn {m['uvicorn']}, websockets {m['websockets']}"
        ),
    ]


def rounds_of(report: Report) -> str:
    """Say how often it was measured."""
    rounds = report.plan["rounds"]
    return "one round" if rounds == 1 else f"{rounds:g} interleaved rounds"


def _head(report: Report) -> str:
    rounds = (
        f"{report.plan['rounds']:g} rounds, interleaved; median (lowest {TO} highest) {TIMES} nginx"
    )
    return "\n".join(
        [f"Blackbox Relay {report.machine['commit']}, {report.date}", *versions(report), rounds]
    )


def _block(
    report: Report, peers: Sequence[str], columns: Sequence[Column], title: str, note: str
) -> str:
    measured = [
        peer for peer in peers if any(report.get(peer, column.figure) for column in columns)
    ]
    if not measured:
        return ""
    grid = [[_cell(report, peer, column) for column in columns] for peer in measured]
    widths = [
        max(len(column.title), *(len(row[index]) for row in grid))
        for index, column in enumerate(columns)
    ]
    heads = [column.title.rjust(width) for column, width in zip(columns, widths, strict=True)]
    lines = [f"{title}  ({note})", "   ".join([" " * NAME_WIDTH, *heads])]
    lines.append("─" * len(lines[-1]))
    for peer, row in zip(measured, grid, strict=True):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("   ".join([_name(report, peer).ljust(NAME_WIDTH), *cells]))
    return "\n".join(lines)


def _name(report: Report, peer: str) -> str:
    return report.titles[peer] + (" (wss)" if peer.endswith("-wss") else "")


def _cell(report: Report, peer: str, column: Column) -> str:
    spread = report.get(peer, column.figure)
    if spread is None:
        return "-"
    text = _spread(spread, column.digits)
    if column.ratio:
        against = "nginx-wss" if peer.endswith("-wss") else "nginx"
        ratio = report.ratio(column.figure, peer, against)
        text += "        " if ratio is None else f" {_short(ratio):>6}{TIMES}"
    return text


def _spread(spread: Spread, digits: int) -> str:
    low, high = f"{spread.low:.{digits}f}", f"{spread.high:.{digits}f}"
    return f"{spread.median:.{digits}f} ({low} {TO} {high})"


def _short(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"


def _goals(report: Report) -> str:
    verdicts = judge(report)
    if all(verdict.met is None for verdict in verdicts):
        return ""
    widest = max(len(verdict.what) for verdict in verdicts)
    lines = ["Goals", "─" * (widest + 48)]
    for verdict in verdicts:
        word = {True: "met", False: "MISSED", None: "not measured"}[verdict.met]
        lines.append(
            f"{verdict.what.ljust(widest)}   {verdict.wanted:<16}   {verdict.measured:<24} {word}"
        )
    return "\n".join(lines)


def _foot(report: Report) -> str:
    lines = [f"{peer} is out, {fault}" for peer, fault in report.faults.items()]
    lines.append(f"took {report.seconds:.0f} s")
    if report.elsewhere > NOISE:
        lines.append(
            f"Other programs, or the host, used {report.elsewhere:.0%} of the machine meanwhile:"
            " figures are too high, and ratios less sure than they look."
        )
    return "\n".join(lines)
