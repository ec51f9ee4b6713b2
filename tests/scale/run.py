"""One simulation: a Redis Cluster of six, processes of simulated replicas, phase after phase."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.state.redis import RedisState, Timings
from tests.scale import lists, nodes, worker
from tests.scale.nodes import Spent
from tests.scale.plan import CAPS, Plan, not_full
from tests.support.redis_cluster import PRIMARIES, RedisCluster

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

STAGES: Final = (0.01, 0.1, 0.25, 0.5, 1.0)
STEP: Final = 2_500
"""Attempts of one process between two looks at the time."""

REPLACED: Final = 0.02
DYING: Final = 2
SETTINGS: Final = {
    # The machine is shared: a server that waits for the processor is not dead.
    "cluster-node-timeout": "60000",
    "client-output-buffer-limit": "replica 0 0 0",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for."""

    sessions: int
    seconds: float
    replicas: int
    workers: int
    lease: float
    refresh: float
    quiet: float


@dataclass(eq=False)
class Run:
    """The phases; `report` has what each has shown."""

    options: Options
    report: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._plan = Plan(self.options.sessions)
        self._pipes: list[Connection] = []
        self._told = 0.0
        self._since = (time.monotonic(), 0)
        self._filling = 0.0
        self._gateways = 0.0
        self._filled = [Spent(0.0, 0, 0, 0)] * (2 * PRIMARIES)

    def all_phases(self) -> None:
        with (
            tempfile.TemporaryDirectory() as directory,
            RedisCluster(Path(directory), settings=SETTINGS) as self._cluster,
        ):
            processes = self._start()
            try:
                self._phases()
            finally:
                self._stop(processes)

    def _phases(self) -> None:
        report, options = self.report, self.options
        report["replicas_alone"] = self._keep(0)
        report["growth"] = []
        for stage in STAGES:
            filled = self._fill(stage)
            self._stage()
            if not filled:
                break
        whole = self._asked >= self._plan.asks()
        report["asked"], report["places"] = self._asked, self._plan.places
        self._check_caps("filled", whole=whole)
        report["keeping"] = self._keep(self._sessions())
        replaced = round(self._sessions() * REPLACED / options.workers)
        before = self._spent()
        self._all("replace", replaced)
        report["replaced"] = self._cost(before, replaced * options.workers)
        self._check_caps("replaced", whole=whole)
        report["after_death"] = self._lose()
        before, sessions = self._spent(), self._sessions()
        self._all("end", max(30.0, self._left() - 30.0))
        report["ended"] = self._cost(before, sessions - self._sessions())
        report["after_end"] = self._page_total()
        if report["after_end"] != self._sessions():
            self.faults.append(f"{report['after_end']} listed, {self._sessions()} live at the end")

    # Processes

    def _start(self) -> list[multiprocessing.process.BaseProcess]:
        context = multiprocessing.get_context("spawn")
        options, started = self.options, []
        for number in range(options.workers):
            ours, theirs = context.Pipe()
            orders = worker.Orders(
                number,
                options.workers,
                self._cluster.url,
                self._cluster.nodes[0].port,
                options.replicas,
                options.sessions,
                options.lease,
                options.refresh,
            )
            process = context.Process(target=worker.run, args=(orders, theirs))
            process.start()
            theirs.close()
            started.append(process)
            self._pipes.append(ours)
        for pipe in self._pipes:
            assert pipe.recv() == "ready"
        self._asked = 0
        return list(started)

    def _stop(self, processes: list[multiprocessing.process.BaseProcess]) -> None:
        for process in processes:
            process.kill()
            process.join()

    def _all(self, *words: Any) -> list[dict[str, Any]]:
        """Ask all processes at once."""
        for pipe in self._pipes:
            pipe.send(words)
        return [pipe.recv() for pipe in self._pipes]

    # Phases

    def _fill(self, stage: float) -> bool:
        """Let sessions enter up to a part of the whole; False if the time is over before."""
        goal = round(self._plan.asks() * stage)
        before, began = self._spent(), time.monotonic()
        own = sum(each["cpu"] for each in self._all("figures"))
        try:
            return self._fill_up_to(goal)
        finally:
            self._filling += time.monotonic() - began
            self._gateways += sum(each["cpu"] for each in self._all("figures")) - own
            self._filled = [
                so_far.plus(now.since(then))
                for so_far, now, then in zip(self._filled, self._spent(), before, strict=True)
            ]

    def _fill_up_to(self, goal: int) -> bool:
        while self._asked < goal:
            if self._left() < self.options.seconds * 0.2:
                self.faults.append(f"the time was over after {self._asked} attempts")
                return False
            step = min(STEP, -(-(goal - self._asked) // self.options.workers))
            figures = self._all("fill", step)
            self._asked = sum(sum(each["answers"].values()) for each in figures)
            self._progress(figures)
        return True

    def _stage(self) -> None:
        """Measure all at this size."""
        spent, figures = self._spent(), self._all("figures")
        sessions = sum(each["sessions"] for each in figures)
        entered = sum(map(sum, (each["answers"].values() for each in figures)))
        alone, took = self.report["replicas_alone"], self._filling
        total = nodes.total(self._filled[:PRIMARIES])
        copies = nodes.total(self._filled[PRIMARIES:])
        grown = nodes.total(spent[:PRIMARIES]).since(nodes.total(self._empty[:PRIMARIES]))
        self.report["growth"].append(
            {
                "sessions": sessions,
                "seconds": round(took, 1),
                "load": round(os.getloadavg()[0], 1),
                "asked": entered,
                "redis_us_per_attempt": round(
                    (total.cpu - alone["redis_cpu"] * took) / entered * 1e6, 1
                ),
                "copies_us_per_attempt": round(copies.cpu / entered * 1e6, 1),
                "commands_per_attempt": round(
                    (total.commands - alone["commands"] * took) / entered, 1
                ),
                "gateway_us_per_attempt": round(self._gateways / entered * 1e6, 1),
                "bytes_per_session": round(grown.memory / sessions),
                "primaries_bytes": sum(each.memory for each in spent[:PRIMARIES]),
                "shares": nodes.shares(
                    [now.since(then) for now, then in zip(spent, self._empty, strict=True)][
                        :PRIMARIES
                    ]
                ),
                "loop_lag": max(each["loop_lag"] for each in figures),
                "errors": dict(sum((Counter(each["errors"]) for each in figures), Counter())),
                "pages": asyncio.run(lists.measure(self._cluster.url, self._primaries)),
            }
        )
        listed = self._page_total()
        if listed != sessions:
            self.faults.append(f"{listed} listed, {sessions} live")

    def _check_caps(self, when: str, *, whole: bool) -> None:
        subjects: Counter[str] = Counter()
        addresses: Counter[str] = Counter()
        for each in self._all("held"):
            subjects += each["subjects"]
            addresses += each["addresses"]
        over = [n for n, count in subjects.items() if count > CAPS.per_subject]
        over += [n for n, count in addresses.items() if count > CAPS.per_address]
        under = []
        if whole:
            plan = self._plan
            under = not_full(CAPS.per_subject, subjects, "subject", plan.subjects)
            under += not_full(CAPS.per_address, addresses, "nat", plan.addresses)
        self.report[f"caps_{when}"] = {
            "sessions": subjects.total(),
            "subjects": len(subjects),
            "addresses": len(addresses),
            "exceeded": len(over),
            "not_full": len(under) if whole else None,
        }
        self.faults += [f"{when}: {fault}" for fault in (over + under)[:10]]

    def _keep(self, sessions: int) -> dict[str, Any]:
        """Let sessions be silent for a while."""
        if not sessions:
            time.sleep(5)  # replicas make themselves known
        self._empty = before = self._spent()
        began = time.monotonic()
        time.sleep(self.options.quiet)
        took, now = time.monotonic() - began, self._spent()
        of = nodes.total(now[:PRIMARIES]).since(nodes.total(before[:PRIMARIES]))
        kept = {
            "seconds": round(took, 1),
            "load": round(os.getloadavg()[0], 1),
            "redis_cpu": round(of.cpu / took, 4),
            "commands": round(of.commands / took, 1),
        }
        if not sessions:
            self._empty = self._spent()
            return kept
        alone = self.report["replicas_alone"]
        return kept | {
            "redis_us_per_session_second": round(
                (kept["redis_cpu"] - alone["redis_cpu"]) / sessions * 1e6, 4
            ),
            "commands_per_session_second": round(
                (kept["commands"] - alone["commands"]) / sessions, 5
            ),
        }

    def _lose(self) -> dict[str, Any]:
        """Let replicas die, and wait until nothing of them is listed."""
        self._pipes[0].send(("lose", DYING))
        lost, sessions = self._pipes[0].recv()["lost"], self._sessions()
        began = time.monotonic()
        first = None
        while (listed := self._page_total()) > sessions:
            if first is None and listed < sessions + lost:
                first = time.monotonic() - began
            if time.monotonic() - began > 20 * self.options.lease:
                self.faults.append(f"{listed - sessions} sessions of dead replicas are listed")
                break
            time.sleep(0.5)
        if self._page_total() < sessions:
            self.faults.append("sessions of living replicas are gone")
        return {
            "replicas": DYING,
            "sessions": lost,
            "first_gone_after": first,
            "all_gone_after": round(time.monotonic() - began, 1),
        }

    # Figures

    def _spent(self) -> list[Spent]:
        return [nodes.spent(node) for node in self._cluster.nodes]

    def _primaries(self) -> Spent:
        return nodes.total([nodes.spent(node) for node in self._cluster.nodes[:PRIMARIES]])

    def _sessions(self) -> int:
        return sum(each["sessions"] for each in self._all("figures"))

    def _cost(self, before: list[Spent], count: int) -> dict[str, Any]:
        of = self._primaries().since(nodes.total(before[:PRIMARIES]))
        return {
            "count": count,
            "redis_us_each": round(of.cpu / max(1, count) * 1e6, 1),
            "commands_each": round(of.commands / max(1, count), 1),
        }

    def _page_total(self) -> int:
        async def ask() -> int:
            state = RedisState(self._cluster.url, "counting", timings=Timings(timeout=60.0))
            try:
                return (await state.sessions(limit=1)).total
            finally:
                await state.close()

        return asyncio.run(ask())

    def _left(self) -> float:
        return self.options.seconds - (time.monotonic() - self._began)

    def _progress(self, figures: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        if now - self._told < 5:
            return
        self._told = now
        rate, self._since = (
            (self._asked - self._since[1]) / (now - self._since[0]),
            (now, self._asked),
        )
        remaining = (self._plan.asks() - self._asked) / max(1.0, rate)
        print(
            f"{sum(each['sessions'] for each in figures):,} sessions, "
            f"{self._asked:,} of {self._plan.asks():,} attempts, {rate:,.0f} a second, "
            f"full in {remaining:,.0f} s, {self._left():,.0f} s left, "
            f"loop {max(each['loop_lag'] for each in figures)} s late, "
            f"load {os.getloadavg()[0]:.0f}",
            file=sys.stderr,
            flush=True,
        )
