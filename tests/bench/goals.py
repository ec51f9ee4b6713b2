"""What the gateway has to reach, and whether it did. Ratios are within one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.figures import TIMES
from tests.bench.stages import PLAIN

if TYPE_CHECKING:
    from tests.bench.figures import Report

OURS: Final = "gateway"
HISTORY: Final = "gateway-history"
PEERS: Final = ("node", "aiohttp-uvloop", "aiohttp")
VARIED: Final = "shuffled"
PYTHON_OVER_TLS: Final = ("aiohttp-wss", "fastapi-wss")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal: what was wanted, what was measured; `met` is None where nothing was."""

    what: str
    wanted: str
    measured: str
    met: bool | None


def judge(report: Report) -> list[Verdict]:
    """Hold a run against every goal."""
    return [
        _at_most(report, "CPU per message, 250 B, against nginx", "us_250", "nginx", 1.9),
        _at_most(report, "CPU per message, 4 KB, against nginx", "us_4096", "nginx", 1.5),
        _at_most(report, "CPU per message, burst, against nginx", "us_burst", "nginx", 2.4),
        *(
            _at_most(report, f"the same with history, {title}", f"us_{name}", OURS, 1.15, HISTORY)
            for name, title in (("250", "250 B"), ("4096", "4 KB"), ("burst", "burst"))
        ),
        _better(report, "Node ws spends more, 250 B", "us_250", "node", 1.7),
        _better(report, "aiohttp on uvloop spends more, 250 B", "us_250", "aiohttp-uvloop", 2.2),
        _better(report, "FastAPI as shipped spends more, 250 B", "us_250", "fastapi-deflate", 6.0),
        _at_most(report, "added p50 at light load, against nginx", "p50_added", "nginx", 1.1),
        _against_best(report, "added p50 at light load, against the best peer", "p50_added", 1.0),
        _against_best(report, "added p99 at light load, against the best peer", "p99_added", 2.0),
        _at_most(report, "the same with history", "p99_added", OURS, 1.5, HISTORY),
        _absolute(report, "memory per idle session", "kib_most", 16, "KiB"),
        _lowest_over_tls(report),
        _absolute(report, "CPU per session set-up", "setup_ms", 0.6, "ms"),
        _absolute(report, "CPU per session in a storm of 3,000", "storm_ms", 2.0, "ms"),
        _absolute(report, "p99 of live messages meanwhile", "storm_p99", 50_000, "µs"),
        _at_most(report, "growth from 64 to 4,000, against nginx'", "flat", "nginx", 1.1),
        _at_most(report, "growth from 64 to 9,000, against nginx'", "flat_most", "nginx", 1.1),
        _near_one(report, "memory per session, later ones against earlier", "linear"),
    ]


def _at_most(
    report: Report, what: str, figure: str, against: str, limit: float, peer: str = OURS
) -> Verdict:
    ratio = report.ratio(_alike(report, figure, peer, against), peer, against)
    met = None if ratio is None else ratio <= limit
    return Verdict(what, f"≤ {limit:g}{TIMES}", _times(ratio), met)


def _alike(report: Report, figure: str, *peers: str) -> str:
    """The figure as all of these have it: of the plain kind of frame where one has no other."""
    plain = f"{figure}:{PLAIN}"
    varied = all(report.get(peer, f"{figure}:{VARIED}") for peer in peers)
    return figure if varied or not all(report.get(peer, plain) for peer in peers) else plain


def _against_best(report: Report, what: str, figure: str, limit: float) -> Verdict:
    """Compare with whichever peer does best."""
    measured = [peer for peer in PEERS if report.get(peer, figure) is not None]
    if not measured or report.get(OURS, figure) is None:
        return Verdict(what, f"≤ {limit:g}{TIMES}", "-", met=None)
    best = min(measured, key=lambda peer: report.figures[peer][figure].median)
    return _at_most(report, f"{what} ({report.titles[best]})", figure, best, limit)


def _better(report: Report, what: str, figure: str, against: str, limit: float) -> Verdict:
    ratio = report.ratio(_alike(report, figure, OURS, against), against, OURS)
    met = None if ratio is None else ratio >= limit
    return Verdict(what, f"≥ {limit:g}{TIMES}", _times(ratio), met)


def _absolute(report: Report, what: str, figure: str, limit: float, unit: str) -> Verdict:
    spread = report.get(OURS, figure)
    if spread is None:
        return Verdict(what, f"≤ {limit:g} {unit}", "-", met=None)
    return Verdict(
        what, f"≤ {limit:g} {unit}", f"{spread.median:.3g} {unit}", spread.median <= limit
    )


def _near_one(report: Report, what: str, figure: str) -> Verdict:
    """Only growth is a fault: a session that costs less among many is none."""
    spread = report.get(OURS, figure)
    if spread is None:
        return Verdict(what, "≤ +10 %", "-", met=None)
    return Verdict(what, "≤ +10 %", f"{(spread.median - 1) * 100:+.0f} %", spread.median <= 1.1)


def _lowest_over_tls(report: Report) -> Verdict:
    what = "memory per idle session, wss upstream"
    ours = report.get("gateway-wss", "kib_middle")
    others = [
        spread.median for peer in PYTHON_OVER_TLS if (spread := report.get(peer, "kib_middle"))
    ]
    if ours is None or not others:
        return Verdict(what, "lowest in Python", "-", met=None)
    measured = f"{ours.median:.0f} KiB, others from {min(others):.0f}"
    return Verdict(what, "lowest in Python", measured, ours.median <= min(others))


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}{TIMES}"
