"""What is done to each relay, and which figures that gives."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.bench.load import Load
    from tests.bench.process import Process

SESSIONS: Final = 64
PACED: Final = 50
HERTZ: Final = 10
SMALL: Final = 250
LARGE: Final = 4096
BURST: Final = 8
WORKS: Final = (("250", SMALL, 1), ("4096", LARGE, 1), ("burst", SMALL, BURST))


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often. Seconds; no step begins after `limit`."""

    rounds: int = 5
    growth_rounds: int = 3
    heat: float = 1.0
    warm: float = 0.15
    work: float = 0.7
    pace: float = 2.0
    crowd_work: float = 1.2
    limit: float = 1_500
    middle: int = 1_000
    most: int = 4_000

    @staticmethod
    def quick() -> Plan:
        """A proof that everything turns, within two minutes; its figures say little."""
        return Plan(
            *(1, 1), heat=0.1, warm=0.05, work=0.2, pace=0.4, crowd_work=0.3, limit=100,
            middle=100, most=200,
        )  # fmt: skip


def heat(load: Load, plan: Plan) -> None:
    """Work a fresh process: a compiler may sit in it that has to see what is hot."""
    for _, size, answers in WORKS:
        load.saturate(size, answers, plan.heat)


def saturate(load: Load, relay: Process, plan: Plan) -> dict[str, float]:
    """CPU per relayed message at saturation, one message outstanding per session."""
    figures: dict[str, float] = {}
    for name, size, answers in WORKS:
        load.saturate(size, answers, plan.warm)
        micros, rate = _work(load, relay, size, answers, plan.work)
        figures[f"us_{name}"] = micros
        figures[f"rate_{name}"] = rate
    return figures


def pace(load: Load, plan: Plan) -> dict[str, float]:
    """Round trips at light load, in µs."""
    load.pace(SMALL, PACED, HERTZ, 0.3)
    paced = load.pace(SMALL, PACED, HERTZ, plan.pace)
    return {"p50": paced.p50 / 1e3, "p99": paced.p99 / 1e3, "late": float(paced.late)}


def grow(load: Load, relay: Process, plan: Plan, most: int) -> dict[str, float]:
    """From 64 warm sessions to `most`: memory and CPU of each more, CPU per message with all.

    What 64 sessions that have worked need is the base, so that neither imports nor buffers that
    every process needs once are counted as a session's. The run at 64 is in the same process.
    """
    load.open(SESSIONS)
    heat(load, plan)
    few, _ = _work(load, relay, SMALL, 1, plan.crowd_work)
    base = _rest(relay)
    cpu = relay.cpu_ns()
    elapsed = load.open(plan.middle - SESSIONS)
    elapsed_middle, cpu_middle = elapsed, relay.cpu_ns() - cpu
    load.saturate(SMALL, 1, 0)
    middle = _rest(relay)
    figures = {
        "kib_middle": (middle - base) / (plan.middle - SESSIONS),
        "setup_ms": cpu_middle / 1e6 / (plan.middle - SESSIONS),
        "setup_rate": (plan.middle - SESSIONS) * 1e9 / elapsed_middle,
        "us_few": few,
        "idle_kib": float(base),
    }
    if most > plan.middle:
        more = most - plan.middle
        cpu = relay.cpu_ns()
        elapsed = load.open(more)
        figures["setup_ms"] = (relay.cpu_ns() - cpu) / 1e6 / more
        figures["setup_rate"] = more * 1e9 / elapsed
        load.saturate(SMALL, 1, 0)
        crowd = _rest(relay)
        figures["kib_most"] = (crowd - base) / (most - SESSIONS)
        figures["linear"] = (crowd - middle) / more / figures["kib_middle"]
        load.saturate(SMALL, 1, plan.warm)
        many, _ = _work(load, relay, SMALL, 1, plan.crowd_work)
        figures["us_many"] = many
        figures["flat"] = many / few
    load.close(timeout=30)
    return figures


def _work(
    load: Load, relay: Process, size: int, answers: int, duration: float
) -> tuple[float, float]:
    """Return CPU µs per message and messages per second; both clocks stand still around it."""
    before = relay.cpu_ns()
    done = load.saturate(size, answers, duration)
    time.sleep(0.01)  # it may have something left to tidy up after the last answer
    return (relay.cpu_ns() - before) / 1e3 / done.messages, done.messages * 1e9 / done.ns


def _rest(relay: Process) -> int:
    relay.settle()
    return relay.pss_kib()
