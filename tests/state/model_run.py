"""`python -m tests.state.model_run`: many random schedules, in several processes."""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from tests.proof.report import ROOT, commit, machine
from tests.state.lease_model import Schedule
from tests.state.model_memory import MemoryStore
from tests.state.model_redis import ComparedStore, RedisStore
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.state.model_store import ModelStore

REPORT: Final = ROOT / "docs" / "model.json"
LENGTH: Final = 80
PER_PART: Final = 500
COMPARED: Final = 10
"""Schedules of each part that run on a real Redis as well."""
MAX_TOLD: Final = 40
MAX_BROKEN: Final = 20


def run_schedules(
    store: ModelStore, seeds: Iterable[int], length: int = LENGTH
) -> tuple[Counter[str], list[str]]:
    """Run them all; return what they did, and the seeds that broke a promise, in words."""
    counts: Counter[str] = Counter()
    broken: list[str] = []
    for seed in seeds:
        schedule = Schedule(store, seed)
        try:
            schedule.run(length)
        except AssertionError as fault:
            broken.append(f"seed {seed}: {fault}")
        counts.update(schedule.counts)
        counts["schedules"] += 1
    return counts, broken


def run_part(part: tuple[int, int, float]) -> tuple[Counter[str], list[str]]:
    """Run the seeds from one to before another, unless the time (Unix) is over."""
    first, last, until = part
    if time.time() > until:
        return Counter(), []
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    memory, middle = MemoryStore(), min(last, first + COMPARED)
    with (
        tempfile.TemporaryDirectory() as directory,
        RedisServer(Path(directory) / "redis") as server,
    ):
        redis = RedisStore(server.port)
        compared = ComparedStore(memory, redis)
        counts, broken = run_schedules(compared, range(first, middle))
        redis.close()
    counts["schedules compared with Redis"] = counts["schedules"]
    counts["replies compared with Redis"] = compared.compared
    more, others = run_schedules(memory, range(middle, last))
    return counts + more, broken + others


def _run_all(given: argparse.Namespace) -> Iterator[tuple[Counter[str], list[str]]]:
    last, until = given.first + given.schedules, time.time() + given.seconds
    parts = [
        (first, min(first + PER_PART, last), until) for first in range(given.first, last, PER_PART)
    ]
    ignore = (signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.get_context("spawn").Pool(given.processes, signal.signal, ignore) as pool:
        try:
            yield from pool.imap_unordered(run_part, parts)
        except KeyboardInterrupt:
            print("interrupted: what has been run is reported", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=7200.0, help="the time for all of it")
    parser.add_argument("--first", type=int, default=0, help="the first seed; others follow it")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=Path, help=f"{REPORT.relative_to(ROOT)}, for instance")
    given = parser.parse_args()
    began, about, code = time.monotonic(), machine(), commit()
    counts: Counter[str] = Counter()
    broken: list[str] = []
    told = 0
    for some, faults in _run_all(given):
        counts += some
        broken += faults
        for fault in faults[: MAX_BROKEN - len(broken) + len(faults)]:
            print(fault, file=sys.stderr)
        done = counts["schedules"]
        if done * MAX_TOLD // given.schedules > told:
            told = done * MAX_TOLD // given.schedules
            rate = done / (time.monotonic() - began)
            print(
                f"{done} of {given.schedules} schedules, {len(broken)} broken, {rate:.0f}/s",
                file=sys.stderr,
                flush=True,
            )
    report: dict[str, Any] = {
        "name": "model",
        "verdict": "lost" if broken else "held" if counts["schedules"] else "nothing done",
        "seeds": {"first": given.first, "last": given.first + given.schedules - 1},
        "schedules": counts["schedules"],
        "unfinished": given.schedules - counts["schedules"],
        "broken": broken[:MAX_BROKEN],
        "number of broken": len(broken),
        "counts": dict(sorted(counts.items())),
        "length": LENGTH,
        "processes": given.processes,
        "seconds": round(time.monotonic() - began, 1),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": code,
        "machine": about | {"load at the end": round(os.getloadavg()[0], 1)},
    }
    text = json.dumps(report, indent=2)
    if given.report is not None:
        given.report.write_text(text + "\n")
    print(text)
    return 1 if broken or report["unfinished"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
