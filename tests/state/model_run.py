"""`python -m tests.state.model_run`: many random schedules, several processes, a Redis for each."""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from tests.proof.report import commit, machine
from tests.state.lease_model import Schedule
from tests.state.model_store import Wire, run_beside
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterable

LENGTH = 80
TOLD_EVERY = 200


def run_schedules(wire: Wire, seeds: Iterable[int]) -> Counter[str]:
    """Run them all; raise `AssertionError` with the seed that breaks a promise."""
    counts: Counter[str] = Counter()

    async def one(seed: int, number: int) -> None:
        schedule = Schedule(wire, seed, number)
        try:
            await schedule.run(LENGTH)
        except AssertionError as broken:
            raise AssertionError(f"seed {seed}: {broken}") from broken
        counts.update(schedule.counts)
        counts["schedules"] += 1

    run_beside(wire, iter(seeds), one)
    return counts


def run_part(part: tuple[int, int, int, float]) -> tuple[Counter[str], list[str]]:
    """Every `step`th seed, until the time is over; what was broken, in words."""
    first, count, step, seconds = part
    os.setsid()  # the scheduler's share of a process of its own
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    counts: Counter[str] = Counter()
    broken: list[str] = []
    with (
        tempfile.TemporaryDirectory() as directory,
        RedisServer(Path(directory) / "redis") as server,
    ):
        seeds = iter(range(first, count, step))
        until = time.monotonic() + seconds
        while time.monotonic() < until and (some := list(itertools.islice(seeds, TOLD_EVERY))):
            wire = Wire(server.port)
            wire.ask(("FLUSHALL",))
            try:
                counts += run_schedules(wire, some)
            except AssertionError as fault:
                broken.append(str(fault))
                print(fault, file=sys.stderr)
            finally:
                wire.close()
            print(f"from {first}: up to {some[-1]}, {len(broken)} broken", file=sys.stderr)
    return counts, broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=7200.0, help="the time for all of it")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    began, about, code = time.monotonic(), machine(), commit()
    step, last = given.processes, given.first + given.schedules
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        orders = [(given.first + at, last, step, given.seconds) for at in range(step)]
        parts = pool.map(run_part, orders)
    counts = sum((each for each, _ in parts), Counter[str]())
    broken = [fault for _, faults in parts for fault in faults]
    seconds = round(time.monotonic() - began, 1)
    report: dict[str, Any] = {
        "schedules": counts["schedules"],
        "broken": broken,
        "seconds": seconds,
        "counts": dict(counts),
        "commit": code,
        "machine": about,
    }
    if given.report is not None:
        given.report.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
