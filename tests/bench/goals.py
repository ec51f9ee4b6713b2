"""What the gateway has to reach, and whether it did. Ratios are within one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.figures import TIMES

if TYPE_CHECKING:
    from tests.bench.figures import Report

OURS: Final = "gateway"
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
        _at_most(report, "CPU per message, 250 B, against nginx", "us_250", "nginx", 2.0),
        _at_most(report, "CPU per message, 4 KB, against nginx", "us_4096", "nginx", 1.6),
        _at_most(report, "CPU per message, burst, against nginx", "us_burst", "nginx", 2.5),
        _better(report, "Node ws spends more, 250 B", "us_250", "node", 1.7),
        _better(report, "Node ws spends more, 4 KB", "us_4096", "node", 4.5),
        _better(report, "aiohttp on uvloop spends more, 250 B", "us_250", "aiohttp-uvloop", 2.2),
        _better(report, "FastAPI as shipped spends more, 250 B", "us_250", "fastapi-deflate", 8.0),
        _at_most(report, "added p50 at light load, against nginx", "p50_added", "nginx", 1.1),
        _absolute(report, "memory per idle session", "kib_most", 32, "KiB"),
        _lowest_over_tls(report),
        _absolute(report, "CPU per session set-up", "setup_ms", 0.6, "ms"),
        _near_one(report, "CPU per message, 4,000 sessions against 64", "flat"),
        _near_one(report, "memory per session, later ones against earlier", "linear"),
    ]


def _at_most(report: Report, what: str, figure: str, against: str, limit: float) -> Verdict:
    ratio = report.ratio(figure, OURS, against)
    met = None if ratio is None else ratio <= limit
    return Verdict(what, f"≤ {limit:g}{TIMES}", _times(ratio), met)


def _better(report: Report, what: str, figure: str, against: str, limit: float) -> Verdict:
    ratio = report.ratio(figure, against, OURS)
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
