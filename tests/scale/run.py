"""One simulation: a Redis Cluster of six, processes of simulated replicas, phase after phase.

It may be cut, by its time or by a signal: what was reached until then stays in the report.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.scale import growth, lists, nodes, worker
from tests.scale.growth import Growth
from tests.scale.plan import CAPS, Plan, not_full
from tests.scale.processes import Processes
from tests.support.redis_cluster import PRIMARIES, RedisCluster

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scale.nodes import Spent
    from tests.scale.options import Options

STAGES: Final = (0.01, 0.1, 0.25, 0.5, 1.0)
FILLING: Final = 0.7
"""Of the time: what is left is for what is measured then."""

REPLACED: Final = 0.02
DYING: Final = 2
ENDING_STEP: Final = 5.0
SETTINGS: Final = {
    # The machine is shared: a server that waits for the processor is not dead.
    "cluster-node-timeout": "60000",
    "client-output-buffer-limit": "replica 0 0 0",
}
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Cut(Exception):  # noqa: N818
    """The run ends before its time, and why."""


@dataclass(eq=False)
class Run:
    """The phases; `report` has what each has shown, and `save` is called whenever it has more."""

    options: Options
    save: Callable[[], None]
    report: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._stopped = ""
        self._plan = Plan(self.options.sessions)

    def stop(self, why: str) -> None:
        """Measure what is there, and end."""
        self._stopped = self._stopped or why

    def all_phases(self) -> None:
        """Go through all phases, or as many as there is time for. Raises what a server raises."""
        with tempfile.TemporaryDirectory() as directory:
            cluster = RedisCluster(Path(directory), settings=SETTINGS)
            # A terminal's signal is for this process alone: servers inherit what is blocked.
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                self._cluster = cluster.__enter__()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            try:
                with Processes(self._orders(cluster)) as self._processes:
                    self._phases()
            except Cut as cut:
                self.report["cut"] = str(cut)
            finally:
                cluster.__exit__()

    def _orders(self, cluster: RedisCluster) -> list[worker.Orders]:
        options = self.options
        return [
            worker.Orders(
                number,
                options.workers,
                cluster.url,
                cluster.nodes[0].port,
                options.replicas,
                options.sessions,
                options.lease,
                options.refresh,
            )
            for number in range(options.workers)
        ]

    def _phases(self) -> None:
        self._phase("replicas_alone", lambda: self._keep(0))
        self._growth = Growth(
            self._plan,
            self._processes,
            self._cluster,
            self.report["replicas_alone"],
            self._empty,
        )
        self._grow()
        self._phase("caps_filled", self._check_caps)
        self._phase("rare_walked", self._walk)
        self._phase("keeping", lambda: self._keep(self._sessions()))
        self._phase("replaced", self._replace)
        self._phase("caps_replaced", self._check_caps)
        self._phase("after_death", self._lose)
        self._phase("ended", self._end)

    def _phase(self, name: str, measure: Callable[[], dict[str, Any]]) -> None:
        """Measure, unless the run is cut; caps are looked at in any case."""
        if not name.startswith("caps"):
            self._go_on(name)
        nodes.watch_slow(self._cluster.nodes[:PRIMARIES])
        self.report[name] = measure() | {"slow": nodes.slow(self._cluster.nodes[:PRIMARIES])}
        self.save()

    def _go_on(self, phase: str) -> None:
        if self._stopped:
            raise Cut(f"{self._stopped}, before or within '{phase}'")
        if self._left() <= 0:
            raise Cut(f"its {self.options.seconds:.0f} s were over, before or within '{phase}'")

    def _left(self) -> float:
        return self.options.seconds - (time.monotonic() - self._began)

    # Phases

    def _grow(self) -> None:
        """Let sessions enter, and measure at each size; also at one that was not intended."""
        grown, stages = self._growth, self.report.setdefault("growth", [])
        for part in STAGES:
            nodes.watch_slow(self._cluster.nodes[:PRIMARIES])
            asked = grown.asked
            reached = grown.fill(part, self._may_fill)
            self.report |= {"asked": grown.asked, "places": self._plan.places}
            if grown.asked > asked:
                slow = nodes.slow(self._cluster.nodes[:PRIMARIES])
                stages.append(grown.stage() | {"slow": slow})
                self.faults += growth.faults(stages[-1])
                self.save()
            if not reached:
                of = f"{grown.asked} of {self._plan.asks()} attempts"
                self.faults.append(self._stopped or f"the time was over after {of}")
                return
        self.faults += growth.slow_pages(stages[-1])

    def _may_fill(self) -> bool:
        return not self._stopped and self._left() > self.options.seconds * (1 - FILLING)

    def _check_caps(self) -> dict[str, Any]:
        subjects: Counter[str] = Counter()
        addresses: Counter[str] = Counter()
        for each in self._processes.all("held"):
            subjects.update(each["subjects"])
            addresses.update(each["addresses"])
        over = [f"{name}: {n}" for name, n in subjects.items() if n > CAPS.per_subject]
        over += [f"{name}: {n}" for name, n in addresses.items() if n > CAPS.per_address]
        plan, under = self._plan, []
        whole = self._growth.asked >= plan.asks()
        if whole:
            under = not_full(CAPS.per_subject, subjects, "subject", plan.subjects)
            under += not_full(CAPS.per_address, addresses, "nat", plan.addresses)
        self.faults += (over + under)[:10]
        return {
            "sessions": subjects.total(),
            "subjects": len(subjects),
            "addresses": len(addresses),
            "full": sum(n == CAPS.per_subject for n in subjects.values())
            + sum(n == CAPS.per_address for n in addresses.values()),
            "exceeded": len(over),
            "not_full": len(under) if whole else None,
        }

    def _walk(self) -> dict[str, Any]:
        walked = asyncio.run(lists.walk(self._cluster.url))
        held = sum(each["rare"] for each in self._processes.all("held"))
        if walked["found"] != held:
            self.faults.append(f"{walked['found']} sessions of a rare agent listed, {held} live")
        return walked

    def _keep(self, sessions: int) -> dict[str, Any]:
        """Let sessions be silent for a while."""
        while self._processes.total("late"):
            self._go_on("replicas_alone")  # they make themselves known
            time.sleep(0.1)
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

    def _replace(self) -> dict[str, Any]:
        """End some sessions, and let as many enter again."""
        each = round(self._sessions() * REPLACED / self.options.workers)
        before = self._spent()
        self._processes.all("replace", each)
        return self._cost(before, each * self.options.workers)

    def _lose(self) -> dict[str, Any]:
        """Let replicas die, and wait until nothing of them is listed."""
        lost = self._processes.first("lose", DYING)["lost"]
        sessions, began, first = self._sessions(), time.monotonic(), None
        while (listed := asyncio.run(lists.total(self._cluster.url))) > sessions:
            passed = time.monotonic() - began
            if first is None and listed < sessions + lost:
                first = round(passed, 1)
            if passed > 20 * self.options.lease or self._left() <= 0 or self._stopped:
                self.faults.append(f"{listed - sessions} sessions of dead replicas are listed")
                break
            time.sleep(0.25)
        if listed < sessions:
            self.faults.append("sessions of living replicas are gone")
        return {
            "replicas": DYING,
            "sessions": lost,
            "first_gone_after": first,
            "all_gone_after": round(time.monotonic() - began, 1),
        }

    def _end(self) -> dict[str, Any]:
        """End sessions, all if there is time for it."""
        before, sessions, began = self._spent(), self._sessions(), time.monotonic()
        while (left := self._sessions()) and self._left() > ENDING_STEP and not self._stopped:
            self._processes.all("end", ENDING_STEP)
        listed = asyncio.run(lists.total(self._cluster.url))
        if listed != left:
            self.faults.append(f"{listed} listed, {left} live at the end")
        took = time.monotonic() - began
        return self._cost(before, sessions - left) | {
            "left": left,
            "listed": listed,
            "per_second": round((sessions - left) / took),
        }

    # Figures

    def _spent(self) -> list[Spent]:
        return [nodes.spent(node) for node in self._cluster.nodes]

    def _sessions(self) -> int:
        return int(self._processes.total("sessions"))

    def _cost(self, before: list[Spent], count: int) -> dict[str, Any]:
        of = nodes.total(self._spent()[:PRIMARIES]).since(nodes.total(before[:PRIMARIES]))
        return {
            "count": count,
            "redis_us_each": round(of.cpu / max(1, count) * 1e6, 1),
            "commands_each": round(of.commands / max(1, count), 1),
        }
