"""Answer how many replicas N sessions of a kind need.

    python deploy/capacity.py --sessions 20000 --kind voice
    python deploy/capacity.py --sessions 1000000 --frames 1.5 --minutes 6 --svg plan.svg

Reads the slopes that measure.py found on a machine like yours (capacity.json), and says for one
replica - one process, which uses one core - what it can hold, what is full first, and what the
whole needs. A replica is planned to be full at `--fill` of each limit, and one more replica than
needed is planned, so that one may die or drain. No network, no dependencies.
"""
# ruff: noqa: T201 - a script speaks by printing

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

GIB = 1 << 30
# Frames a second, both ways together, and minutes, of a typical conversation.
KINDS = {"idle": (0.0, 30.0), "chat": (0.4, 8.0), "voice": (3.0, 5.0), "busy": (20.0, 5.0)}


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of conversation: frames a second (both ways together) and minutes it lasts."""

    frames: float
    minutes: float


@dataclass(frozen=True, slots=True)
class Replica:
    """What one replica may use; `fill` is the share of it that a plan uses."""

    memory: float
    files: int
    max_sessions: int
    fill: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How many replicas, and what decides it. `limits` is limit -> sessions a replica holds."""

    sessions: int
    limits: dict[str, int]
    replicas: int
    cores: float
    memory: float
    redis_commands: float
    frames: float

    @property
    def first(self) -> str:
        """What is full first."""
        return min(self.limits, key=lambda name: self.limits[name])

    @property
    def each(self) -> int:
        """Sessions that one replica is planned for."""
        return self.limits[self.first]


def cpu_per_session(slopes: dict[str, float], load: Load) -> float:
    """Cores that one conversation keeps busy: at rest, its frames, and its share of a set-up."""
    return (
        slopes["cpu_seconds_per_idle_session_second"]
        + slopes["cpu_seconds_per_frame"] * load.frames
        + slopes["cpu_seconds_per_session_set_up"] / (load.minutes * 60)
    )


def plan(sessions: int, slopes: dict[str, float], load: Load, replica: Replica) -> Plan:
    """Compute a plan. Raises ValueError if a replica cannot hold a single session."""
    cpu = cpu_per_session(slopes, load)
    limits = {
        "CPU (one core)": math.floor(replica.fill / cpu),
        "memory": math.floor(
            (replica.memory * replica.fill - slopes["base_bytes"]) / slopes["bytes_per_session"]
        ),
        "descriptors": math.floor(
            (replica.files * replica.fill - slopes["base_descriptors"])
            / slopes["descriptors_per_session"]
        ),
        "RELAY_MAX_SESSIONS": math.floor(replica.max_sessions * replica.fill),
    }
    each = min(limits.values())
    if each < 1:
        raise ValueError(f"a replica cannot hold one session: {limits}")
    replicas = math.ceil(sessions / each) + 1
    per_second = sessions / (load.minutes * 60)
    return Plan(
        sessions=sessions,
        limits=limits,
        replicas=replicas,
        cores=sessions * cpu,
        memory=replicas * slopes["base_bytes"] + sessions * slopes["bytes_per_session"],
        redis_commands=(
            slopes.get("redis_commands_per_session", 0) * per_second
            + slopes.get("redis_commands_per_replica_second", 0) * replicas
            + slopes.get("redis_commands_per_idle_session_second", 0) * sessions
        ),
        frames=sessions * load.frames,
    )


def table(found: Plan) -> str:
    """The plan for people."""
    rows = [("One replica holds", "", "")]
    rows += [
        (f"  by {name}", f"{count:,}", "<- full first" if name == found.first else "")
        for name, count in sorted(found.limits.items(), key=lambda item: item[1])
    ]
    rows += [
        (f"{found.sessions:,} sessions need", "", ""),
        ("  replicas (one to spare)", f"{found.replicas:,}", ""),
        ("  cores kept busy", f"{found.cores:,.2f}", ""),
        ("  memory", f"{found.memory / GIB:,.2f} GiB", ""),
        ("  frames a second", f"{found.frames:,.0f}", ""),
        ("  Redis commands a second", f"{found.redis_commands:,.0f}", _redis(found)),
    ]
    return "\n".join(f"{left:<34}{middle:>14}  {right}".rstrip() for left, middle, right in rows)


def _redis(found: Plan) -> str:
    return "<- more than one Redis takes" if found.redis_commands > 80_000 else ""  # noqa: PLR2004


def steps(sessions: int) -> list[int]:
    """Session counts around the asked one, for the plot: 1, 2, 5 in every decade up to it."""
    found = [m * 10**d for d in range(2, 8) for m in (1, 2, 5) if m * 10**d < sessions]
    return [*found[-9:], sessions]


def plot(plans: Sequence[Plan], width: int = 48) -> str:
    """Replicas over sessions as bars of text; both axes grow by factors."""
    most = math.log(max(found.replicas for found in plans))
    lines = ["sessions -> replicas"]
    for found in plans:
        bar = "#" * max(1, round(width * math.log(found.replicas) / most))
        lines.append(f"{found.sessions:>11,} |{bar} {found.replicas:,}  ({found.first})")
    return "\n".join(lines)


def svg(plans: Sequence[Plan]) -> str:
    """The same as a picture, logarithmic both ways."""
    wide, high, edge = 640, 360, 60
    low_x, top_x = math.log(plans[0].sessions), math.log(plans[-1].sessions)
    top_y = math.log(max(found.replicas for found in plans))

    def at(found: Plan) -> tuple[float, float]:
        x = edge + (wide - 2 * edge) * (math.log(found.sessions) - low_x) / (top_x - low_x or 1)
        y = high - edge - (high - 2 * edge) * math.log(found.replicas) / top_y
        return round(x, 1), round(y, 1)

    points = [at(found) for found in plans]
    marks = "".join(
        f'<circle cx="{x}" cy="{y}" r="3"/>'
        f'<text x="{x}" y="{y - 8}" text-anchor="middle">{found.replicas:,}</text>'
        f'<text x="{x}" y="{high - edge + 18}" text-anchor="middle">{short(found.sessions)}</text>'
        for found, (x, y) in zip(plans, points, strict=True)
    )
    line = " ".join(f"{x},{y}" for x, y in points)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" '
        'font-family="sans-serif" font-size="11">'
        f'<rect width="{wide}" height="{high}" fill="white"/>'
        f'<text x="{edge}" y="24" font-size="14">Replicas for so many sessions</text>'
        f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="2"/>'
        f"{marks}</svg>\n"
    )


def short(number: int) -> str:
    """1000000 as 1M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return str(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer; 0, or 2 when the question has no answer."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--sessions", type=int, required=True, help="live at the same time, at the peak")
    add("--kind", choices=KINDS, default="chat", help="frames and minutes of a typical one")
    add("--frames", type=float, help="frames a second of one session, both ways together")
    add("--minutes", type=float, help="how long one lasts")
    add("--memory", type=float, default=0.75, help="GiB a replica may use (%(default)s)")
    add("--files", type=int, default=65_536, help="descriptors a replica may open (%(default)s)")
    add("--max-sessions", type=int, default=5_000, help="RELAY_MAX_SESSIONS (%(default)s)")
    add("--fill", type=float, default=0.6, help="share of each limit that is used (%(default)s)")
    add("--slopes", type=Path, default=Path(__file__).with_name("capacity.json"))
    add("--svg", type=Path, help="write the plot there, too")
    asked = parser.parse_args(arguments)
    frames, minutes = KINDS[asked.kind]
    load = Load(
        asked.frames if asked.frames is not None else frames,
        asked.minutes if asked.minutes is not None else minutes,
    )
    if asked.sessions < 1 or load.minutes <= 0 or load.frames < 0 or not 0 < asked.fill <= 1:
        parser.error("sessions and minutes must be above 0, frames not below, fill in (0, 1]")
    try:
        slopes: dict[str, Any] = json.loads(asked.slopes.read_text())
    except OSError:
        print(f"{asked.slopes} is missing: run measure.py first", file=sys.stderr)
        return 2
    replica = Replica(asked.memory * GIB, asked.files, asked.max_sessions, asked.fill)
    try:
        plans = [plan(count, slopes, load, replica) for count in steps(asked.sessions)]
    except ValueError as impossible:
        print(impossible, file=sys.stderr)
        return 2
    machine = slopes.get("machine", {})
    print(
        f"{load.frames:g} frames a second for {load.minutes:g} minutes each; measured on "
        f"{machine.get('cpu', 'an unnamed machine')}, Python {machine.get('python', '?')}, "
        f"load {machine.get('load_average', '?')} on {machine.get('cores', '?')} cores\n"
    )
    print(table(plans[-1]))
    print(f"\n{plot(plans)}")
    if asked.svg:
        asked.svg.write_text(svg(plans))
        print(f"\n{asked.svg} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
