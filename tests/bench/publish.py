"""Writes a run's figures where the project tells them: README and capacity planning."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deploy.capacity import KINDS as CONVERSATIONS
from deploy.capacity import Load, Replica, plan
from tests.bench.figures import TIMES
from tests.bench.goals import OURS, judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.bench.figures import Report

ROOT: Final = Path(__file__).parents[2]
SLOPES: Final = ROOT / "deploy" / "capacity.json"
CAPACITY: Final = ROOT / "deploy" / "CAPACITY.md"
README: Final = ROOT / "README.md"
COUNTED: Final = (
    "redis_commands_per_session",
    "redis_commands_per_replica_second",
    "redis_commands_per_idle_session_second",
)
"""What deploy/measure.py counts: no clock is in it, so no run of the benchmark renews it."""
REPLICA: Final = Replica(memory=0.75 * (1 << 30), files=65_536, max_sessions=5_000, fill=0.6)
ROWS: Final = (
    "nginx", "haproxy", "gateway", "gateway-history", "gateway-history-postgres", "gateway-redis",
    "gateway-guardrail", "gateway-resume-off", "gateway-source", "node", "aiohttp-uvloop",
    "fastapi", "fastapi-deflate",
)  # fmt: skip
COLUMNS: Final = (
    ("µs 250 B", "us_250", 1),
    ("µs 4 KB", "us_4096", 1),
    ("µs burst", "us_burst", 1),
    ("p50 µs", "p50_added", 0),
    ("p99 µs", "p99_added", 0),
    ("p99 µs, voice", "p99_voice_added", 0),
    ("KiB", "kib_most", 1),
    ("set-up ms", "setup_ms", 2),
)


def publish(report: Report) -> None:
    """Renew the README's table, capacity.json and the tables of CAPACITY.md."""
    kept = json.loads(SLOPES.read_text())
    found = slopes(report, kept)
    SLOPES.write_text(json.dumps(found, indent=2) + "\n")
    CAPACITY.write_text(capacity_text(CAPACITY.read_text(), found))
    README.write_text(between(README.read_text(), "benchmark", readme_table(report)))


def slopes(report: Report, kept: Mapping[str, Any]) -> dict[str, Any]:
    """What one more session and frame cost, for deploy/capacity.py; what is counted is kept."""
    ours = {name: spread.median for name, spread in report.figures[OURS].items()}
    return {
        "machine": {
            "cpu": report.machine["cpu"],
            "cores": int(report.machine["cores"]),
            "python": report.machine["python"],
            "used_by_others": round(report.elsewhere, 2),
        },
        "date": report.date,
        "commit": report.machine["commit"],
        "base_bytes": round(ours["idle_kib"] * 1024),
        "bytes_per_session": round(ours["kib_most"] * 1024),
        "descriptors_per_session": round(ours["descriptors"], 2),
        "base_descriptors": round(ours["base_descriptors"] - 64 * ours["descriptors"]),
        "cpu_seconds_per_session_set_up": round((ours["setup_ms"] + ours["teardown_ms"]) / 1e3, 6),
        "cpu_seconds_per_idle_session_second": round(ours["rest_us"] / 1e6, 8),
        "cpu_seconds_per_frame": round(ours["us_many"] / 1e6, 8),
        **{name: kept[name] for name in COUNTED},
    }


def capacity_text(text: str, found: Mapping[str, Any]) -> str:
    """Return CAPACITY.md with these slopes."""
    text = between(text, "measured", _costs(found))
    text = between(text, "replica", _limits(found))
    text = re.sub(r"(?m)^\| ([\d,]+) \| [\d,]+ \|", lambda row: _row(row, found), text)
    seconds = round(100_000 * found["cpu_seconds_per_session_set_up"])
    text = re.sub(r"(100,000 set-ups cost) \d+ s", rf"\1 {seconds} s", text)
    cores = max(1, round(seconds / 5))
    return re.sub(r"(of the default jitter that is) \d+ cores?", rf"\1 {cores} cores", text)


def readme_table(report: Report) -> str:
    """The README's table of this run, and the goals that it misses."""
    heads = " | ".join(title for title, _, _ in COLUMNS)
    lines = [
        f"Measured {report.date} at commit {report.machine['commit']} on {report.machine['cpu']}, "
        f"{report.machine['cores']} cores"
        + (
            f"; others used {report.elsewhere:.0%} of the machine"
            if report.elsewhere > 0.05
            else ""
        )
        + ".",
        "",
        f"| relay | {heads} |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for peer in ROWS:
        if peer in report.figures:
            cells = (_cell(report, peer, figure, digits) for _, figure, digits in COLUMNS)
            lines.append(f"| {report.titles[peer]} | {' | '.join(cells)} |")
    missed = [verdict for verdict in judge(report) if verdict.met is False]
    if missed:
        lines += ["", "Missed of the benchmark's goals:", ""]
        lines += [f"- {each.what}: {each.measured}, wanted {each.wanted}" for each in missed]
    return "\n".join(lines)


def between(text: str, mark: str, content: str) -> str:
    """Replace what stands between a mark's two comments. Raises ValueError if they are missing."""
    begin, end = f"<!-- {mark} -->\n", f"\n<!-- /{mark} -->"
    head, found, rest = text.partition(begin)
    _, ended, tail = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{begin.strip()} … {end.strip()} is missing")
    return head + begin + content + end + tail


def _cell(report: Report, peer: str, figure: str, digits: int) -> str:
    spread = report.get(peer, figure)
    if spread is None:
        return "-"
    ratio = report.ratio(figure, peer, "nginx") if figure.startswith("us_") else None
    against = "" if ratio is None or peer == "nginx" else f" ({ratio:.1f}{TIMES})"
    return f"{spread.median:,.{digits}f}{against}"


def _costs(found: Mapping[str, Any]) -> str:
    rows = [
        ("a replica without sessions", f"{found['base_bytes']:,} bytes"),
        ("its file descriptors", f"{found['base_descriptors']:,} open"),
        ("one session, memory (PSS, idle)", f"{found['bytes_per_session']:,} bytes"),
        ("one session, file descriptors", f"{found['descriptors_per_session']:,} open"),
        ("one session, CPU at rest", _cpu(found, "idle_session_second", "cores")),
        ("one session, CPU to set it up and take it down", _cpu(found, "session_set_up", "s")),
        ("one frame, either way, CPU, among 4,000 sessions", _cpu(found, "frame", "s")),
        ("Redis commands, to come and to go", f"{found[COUNTED[0]]:,} a session"),
        ("Redis commands, a replica without sessions", f"{found[COUNTED[1]]:,} a second"),
        ("Redis commands, to stay", f"{found[COUNTED[2]]:,} a session and second"),
    ]
    machine = found["machine"]
    lines = ["| what | measured |", "|---|---|", *(f"| {what} | {told} |" for what, told in rows)]
    lines += [
        "",
        (
            f"By `make bench` at commit {found['commit']}, {found['date']}: {machine['cpu']}, "
            f"{machine['cores']} cores, Python {machine['python']}; others used "
            f"{machine['used_by_others']:.0%} of the machine. Redis commands by `measure.py`: "
            "Redis counts those inside its scripts, too."
        ),
    ]
    return "\n".join(lines)


def _cpu(found: Mapping[str, Any], what: str, unit: str) -> str:
    return f"{found[f'cpu_seconds_per_{what}']:.8f}".rstrip("0") + f" {unit}"


def _limits(found: Mapping[str, Any]) -> str:
    limits = plan(1_000_000, dict(found), Load(*CONVERSATIONS["voice"]), REPLICA).limits
    rows = [
        ("`RELAY_MAX_SESSIONS`", "RELAY_MAX_SESSIONS", "the default", "the variable"),
        ("CPU, one core", "CPU (one core)", "voice: 3 frames a second", "more replicas"),
        ("descriptors", "descriptors", "65,536 allowed", "`LimitNOFILE`, `ulimits`"),
        ("memory", "memory", "768 MiB, idle sessions", "the container's limit"),
    ]
    lines = ["| is full by | at (60 %) | when | raise it by |", "|---|---|---|---|"]
    lines += [f"| {what} | {limits[name]:,} | {when} | {by} |" for what, name, when, by in rows]
    return "\n".join(lines)


def _row(row: re.Match[str], found: Mapping[str, Any]) -> str:
    sessions = int(row[1].replace(",", ""))
    replicas = plan(sessions, dict(found), Load(*CONVERSATIONS["voice"]), REPLICA).replicas
    return f"| {row[1]} | {replicas:,} |"
