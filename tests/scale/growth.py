"""Lets sessions enter, stage by stage, and measures everything at each size."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.scale import lists, nodes
from tests.scale.nodes import Spent
from tests.support.redis_cluster import PRIMARIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scale.plan import Plan
    from tests.scale.processes import Processes
    from tests.support.redis_cluster import RedisCluster

STEP: Final = 2.0
"""Seconds for which processes let sessions enter until they are asked how far they are."""

TOLD_EVERY: Final = 5.0
SMALLEST: Final = 10_000
"""Sessions from which on shares of servers are even."""

UNEVEN: Final = 0.2


@dataclass(eq=False)
class Growth:
    """`alone` is what the replicas cost a second without sessions, `empty` what was spent then."""

    plan: Plan
    processes: Processes
    cluster: RedisCluster
    alone: dict[str, Any]
    empty: list[Spent]
    asked: int = 0
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seconds = self._gateways = self._told = 0.0
        self._since = (time.monotonic(), 0)
        self._spent = [Spent(0.0, 0, 0, 0)] * (2 * PRIMARIES)

    def fill(self, part: float, may_go_on: Callable[[], bool]) -> bool:
        """Let sessions enter up to a part of the whole; False if it may not go on before."""
        goal = round(self.plan.asks() * part)
        before, began, own = self._now(), time.monotonic(), self.processes.total("cpu")
        try:
            while self.asked < goal and may_go_on():
                share = -(-(goal - self.asked) // len(self.processes.all("figures")))
                figures = self.processes.all("fill", share, STEP)
                self.asked = sum(sum(each["answers"].values()) for each in figures)
                self._progress(figures)
        finally:
            self._seconds += time.monotonic() - began
            self._gateways += self.processes.total("cpu") - own
            self._spent = [
                so_far.plus(now.since(then))
                for so_far, now, then in zip(self._spent, self._now(), before, strict=True)
            ]
        return self.asked >= goal

    def stage(self) -> dict[str, Any]:
        """Measure all at this size."""
        spent, figures = self._now(), self.processes.all("figures")
        sessions, asked = sum(each["sessions"] for each in figures), max(1, self.asked)
        total, copies = nodes.total(self._spent[:PRIMARIES]), nodes.total(self._spent[PRIMARIES:])
        grown = [now.since(then) for now, then in zip(spent, self.empty, strict=True)][:PRIMARIES]
        took = self._seconds
        commands = total.commands - self.alone["commands"] * took
        return {
            "sessions": sessions,
            "seconds": round(took, 1),
            "load": round(os.getloadavg()[0], 1),
            "asked": asked,
            "attempts_per_second": round(asked / took),
            "redis_us_per_attempt": round(
                (total.cpu - self.alone["redis_cpu"] * took) / asked * 1e6, 1
            ),
            "copies_us_per_attempt": round(copies.cpu / asked * 1e6, 1),
            "commands_per_attempt": round(commands / asked, 1),
            "gateway_us_per_attempt": round(self._gateways / asked * 1e6, 1),
            "bytes_per_session": round(nodes.total(grown).memory / max(1, sessions)),
            "primaries_bytes": sum(each.memory for each in spent[:PRIMARIES]),
            "processes_bytes": sum(each["memory"] for each in figures),
            # Of CPU and commands while sessions entered: the pages that were measured begin at one.
            "shares": nodes.shares(grown) | _spent_shares(self._spent[:PRIMARIES]),
            "loop_lag": max(each["loop_lag"] for each in figures),
            "paused": sum(each["paused"] for each in figures),
            "answers": dict(sum((Counter(each["answers"]) for each in figures), Counter())),
            "errors": dict(sum((Counter(each["errors"]) for each in figures), Counter())),
            "pages": asyncio.run(lists.measure(self.cluster.url, self._primaries)),
            "listed": asyncio.run(lists.total(self.cluster.url)),
        }

    def _now(self) -> list[Spent]:
        return [nodes.spent(node) for node in self.cluster.nodes]

    def _primaries(self) -> Spent:
        return nodes.total([nodes.spent(node) for node in self.cluster.nodes[:PRIMARIES]])

    def _progress(self, figures: list[dict[str, Any]]) -> None:
        now = time.monotonic()
        if now - self._told < TOLD_EVERY:
            return
        self._told = now
        (at, asked), self._since = self._since, (now, self.asked)
        rate = (self.asked - asked) / (now - at)
        remaining = (self.plan.asks() - self.asked) / max(1.0, rate)
        print(
            f"{sum(each['sessions'] for each in figures):,} sessions, "
            f"{self.asked:,} of {self.plan.asks():,} attempts, {rate:,.0f} a second, "
            f"full in {remaining:,.0f} s, loop {max(each['loop_lag'] for each in figures)} s late, "
            f"paused {sum(each['paused'] for each in figures):.0f} s, "
            f"load {os.getloadavg()[0]:.0f}",
            file=sys.stderr,
            flush=True,
        )


def _spent_shares(spent: list[Spent]) -> dict[str, list[float]]:
    of = nodes.shares(spent)
    return {name: of[name] for name in ("cpu", "commands")}


def faults(stage: dict[str, Any]) -> list[str]:
    """What is wrong with the figures of a stage, beside those that only depend on the machine."""
    sessions, listed = stage["sessions"], stage["listed"]
    found = [] if listed == sessions else [f"{listed} listed, {sessions} live"]
    if sessions < SMALLEST:
        return found
    for name in ("cpu", "memory", "keys"):
        found += [
            f"{sessions} sessions: a server has {share} of the mean {name}"
            for share in stage["shares"][name]
            if abs(share - 1) > UNEVEN
        ]
    return found


def slow_pages(stage: dict[str, Any]) -> list[str]:
    """The pages that took longer than they may."""
    return [
        f"{stage['sessions']} sessions, page '{name}': {page['median_ms']} ms"
        for name, page in stage["pages"].items()
        if page["median_ms"] > lists.GOAL
    ]
