"""What is done to each relay, and which figures that gives."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.bench.process import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.load import Load
    from tests.bench.process import Process

SESSIONS: Final = 64
PACED: Final = 50
HERTZ: Final = 10
CROWD_HERTZ: Final = 2
CHATS: Final = 200
CHAT_HERTZ: Final = 5
VOICE_EVERY: Final = 50
"""A voice call's transcript: 20 frames a second beside the chats' 1,000."""
SMALL: Final = 250
LARGE: Final = 4096
HUGE: Final = 60_000
BURST: Final = 8
WORKS: Final = (("250", SMALL, 1), ("4096", LARGE, 1), ("burst", SMALL, BURST))
"""Figures of CPU per message: name, bytes of a message, answers to one."""
PLAIN: Final = "compact"
KINDS: Final = (
    PLAIN,
    "short",
    "shuffled",
    "json.dumps",
    "indented",
    "escaped",
    "not-ASCII",
    "event",
)
"""Kinds of frames, by their numbers in native/speech.c."""
TINY: Final = 110
MANY: Final = 4_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often. Seconds; no step begins after `limit`."""

    rounds: int = 3
    growth_rounds: int = 2
    heat: float = 0.35
    warm: float = 0.07
    work: float = 0.35
    kind: float = 0.15
    pace: float = 1.5
    crowd_work: float = 0.7
    rest: float = 1.5
    limit: float = 690
    middle: int = 1_000
    most: int = 9_000
    crowd: int = 500

    @staticmethod
    def quick() -> Plan:
        """A proof that everything turns, within two minutes; its figures say little."""
        return Plan(
            *(1, 1), heat=0.1, warm=0.03, work=0.2, kind=0.03, pace=0.4, crowd_work=0.3,
            rest=0.2, limit=100, middle=100, most=200, crowd=100,
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
        figures[f"us_{name}:{PLAIN}"] = micros
        figures[f"rate_{name}"] = rate
    return figures


def vary(load: Load, relay: Process, plan: Plan) -> dict[str, float]:
    """CPU per message with each other kind of frame, and of other sizes: at least the worst."""
    figures: dict[str, float] = {}
    try:
        for number, kind in enumerate(KINDS):
            if load.speak(number) != kind:
                raise Fault(f"no such kind of frame: {kind}")
            works = [*WORKS, ("60000", HUGE, 1)]
            if kind == "short":
                works = [("110", TINY, 1), WORKS[0]]
            elif kind == PLAIN:
                works = works[-1:]
            for name, size, answers in works:
                load.saturate(size, answers, plan.warm / 3)
                figures[f"us_{name}:{kind}"], _ = _work(load, relay, size, answers, plan.kind)
    finally:
        load.speak(0)
    return figures


def pace(load: Load, plan: Plan) -> dict[str, float]:
    """Round trips at light load, in µs."""
    load.pace(SMALL, PACED, HERTZ, 0.3)
    paced = load.pace(SMALL, PACED, HERTZ, plan.pace)
    return {"p50": paced.p50 / 1e3, "p99": paced.p99 / 1e3, "late": float(paced.late)}


def catch_up(load: Load, plan: Plan) -> dict[str, float]:
    """Round trips at light load right after saturation, in µs: history still writes what it was.

    Elsewhere light load comes first, as what is measured there is not to be what was before it.
    """
    paced = load.pace(SMALL, PACED, HERTZ, plan.pace)
    return {"p50_backlog": paced.p50 / 1e3, "p99_backlog": paced.p99 / 1e3}


def crowd(load: Load, plan: Plan) -> dict[str, float]:
    """Round trips of many quiet sessions, and of one voice call's transcript beside chats, in µs.

    There are `plan.crowd` sessions.
    """
    chats = min(CHATS, plan.crowd)
    load.pace(SMALL, chats, CHAT_HERTZ, 0.2, probe=VOICE_EVERY)
    voice = load.pace(SMALL, chats, CHAT_HERTZ, plan.pace, probe=VOICE_EVERY)
    many = load.pace(SMALL, plan.crowd, CROWD_HERTZ, plan.pace)
    return {
        "p50_voice": voice.p50 / 1e3,
        "p99_voice": voice.p99 / 1e3,
        "p50_crowd": many.p50 / 1e3,
        "p99_crowd": many.p99 / 1e3,
    }


def grow(
    load: Load, relay: Process, plan: Plan, most: int, admit: Callable[[int], None]
) -> dict[str, float]:
    """From 64 warm sessions to `most`: memory and CPU of each more, CPU per message with all.

    What 64 sessions that have worked need is the base, so that neither imports nor buffers that
    every process needs once are counted as a session's. The run at 64 is in the same process.
    `admit` is called before so many sessions are opened: tickets are minted no earlier, as those
    that wait are memory of the relay's, too. No clock of its CPU runs meanwhile.
    """
    admit(SESSIONS)
    load.open(SESSIONS)
    heat(load, plan)
    few, _ = _work(load, relay, SMALL, 1, plan.crowd_work)
    base = _rest(relay)
    files = relay.descriptors()
    admit(plan.middle - SESSIONS)
    relay.settle()
    cpu = relay.cpu_ns()
    elapsed = load.open(plan.middle - SESSIONS)
    setup = (relay.cpu_ns() - cpu) / 1e6 / (plan.middle - SESSIONS)
    load.saturate(SMALL, 1, 0)
    middle = _rest(relay)
    figures = {
        "kib_middle": (middle - base) / (plan.middle - SESSIONS),
        "descriptors": (relay.descriptors() - files) / (plan.middle - SESSIONS),
        "base_descriptors": float(files),
        "setup_ms": setup,
        "setup_rate": (plan.middle - SESSIONS) * 1e9 / elapsed,
        "us_few": few,
        "idle_kib": float(base),
    }
    many = min(most, MANY)
    if many > plan.middle:
        admit(many - plan.middle)
        relay.settle()
        figures |= _storm(load, relay, many - plan.middle)
        load.saturate(SMALL, 1, 0)
        full = _rest(relay)
        figures["kib_most"] = (full - base) / (many - SESSIONS)
        figures["linear"] = (full - middle) / (many - plan.middle) / figures["kib_middle"]
        figures["us_many"] = _crowded(load, relay, plan)
        figures["flat"] = figures["us_many"] / few
        cpu = relay.cpu_ns()
        time.sleep(plan.rest)
        figures["rest_us"] = (relay.cpu_ns() - cpu) / 1e3 / plan.rest / many
    if most > many:
        admit(most - many)
        load.open(most - many)
        load.saturate(SMALL, 1, 0)
        figures["us_most"] = _crowded(load, relay, plan)
        figures["flat_most"] = figures["us_most"] / few
    opened = max(plan.middle, most)
    cpu = relay.cpu_ns()
    load.close(timeout=60)
    relay.settle()
    figures["teardown_ms"] = (relay.cpu_ns() - cpu) / 1e6 / opened
    return figures


def _storm(load: Load, relay: Process, count: int) -> dict[str, float]:
    """Many sessions come at once, while some that are there go on talking."""
    cpu = relay.cpu_ns()
    live = load.storm(count, SMALL, PACED, HERTZ)
    return {
        "storm_ms": (relay.cpu_ns() - cpu) / 1e6 / count,
        "storm_p99": live.p99 / 1e3,
    }


def _crowded(load: Load, relay: Process, plan: Plan) -> float:
    load.saturate(SMALL, 1, plan.warm)
    micros, _ = _work(load, relay, SMALL, 1, plan.crowd_work)
    return micros


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
