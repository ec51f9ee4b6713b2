"""Answer how long a release takes, and how many pods there are at its peak.

    python deploy/release.py --pods 200 --surge 25% --drain 3600 --longest 60

The arithmetic of a Deployment's rolling update: as many new pods as may surge are started; each
old pod that a ready one replaces gets SIGTERM and drains, and Kubernetes waits for no drain. No
network, no dependencies. Times are in seconds, conversations in minutes.
"""
# ruff: noqa: T201 - a script speaks by printing

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# The chart's values (rollout, drain); a test holds them equal.
SURGE = "25%"
MIN_READY = 5.0
DELAY = 5.0
TIMEOUT = 300.0
MARGIN = 25.0


@dataclass(frozen=True, slots=True)
class Rollout:
    """What a release is made of. `surge` and `unavailable` are pods, all times seconds.

    `start` is from a pod's creation until it is ready; `longest` is how long the longest
    conversation still has to go when its pod is told to drain.
    """

    pods: int
    surge: int
    unavailable: int = 0
    start: float = 20.0
    min_ready: float = MIN_READY
    delay: float = DELAY
    timeout: float = TIMEOUT
    margin: float = MARGIN
    longest: float = 0.0

    @property
    def drain(self) -> float:
        """How long after SIGTERM an old pod takes to end: until its last conversation has."""
        return self.delay + min(self.longest, self.timeout)

    @property
    def cut(self) -> float:
        """How much of the longest conversation the drain's time-out cuts off, in seconds."""
        return max(0.0, self.longest - self.timeout)

    @property
    def grace(self) -> float:
        """terminationGracePeriodSeconds: SIGKILL after this, whatever happens."""
        return math.ceil(self.delay + self.timeout + self.margin)


@dataclass(frozen=True, slots=True)
class Release:
    """What comes of it. Times are seconds from the release's start.

    `replaced` is when the last old pod gets SIGTERM, `ended` when the last conversation of the old
    pods has ended, `at_most` when the last old pod is gone even if it hangs, `peak` the most pods
    that exist at once, those that drain included.
    """

    waves: int
    replaced: float
    ended: float
    at_most: float
    peak: int


def pods_of(share: str, pods: int, *, up: bool) -> int:
    """Return a number of pods, or a share of them, rounded as in Kubernetes. Raises ValueError."""
    number = share.removesuffix("%")
    if not number.isdecimal():
        raise ValueError(f"{share}: neither a number of pods nor a share such as 25%")
    if number == share:
        return int(share)
    exact = pods * int(number) / 100
    return math.ceil(exact) if up else math.floor(exact)


def release(rollout: Rollout) -> Release:
    """Go through the waves of a release. Raises ValueError if no pod could ever be replaced."""
    if rollout.surge + rollout.unavailable < 1:
        raise ValueError("neither surge nor unavailable pods: nothing can be replaced")
    wave = rollout.start + rollout.min_ready
    # Pods that may go before a successor is ready get SIGTERM at once.
    told = [(0.0, min(rollout.unavailable, rollout.pods))]
    started = min(rollout.surge + told[0][1], rollout.pods)
    created = [(0.0, started)]
    ready, now = 0, 0.0
    while ready < rollout.pods:
        now += wave
        ready = started
        terminated = min(ready + rollout.unavailable, rollout.pods)
        told.append((now, terminated - sum(count for _, count in told)))
        started = min(terminated + rollout.surge, rollout.pods)
        created.append((now, started - sum(count for _, count in created)))
    replaced = max(at for at, count in told if count)
    return Release(
        waves=sum(1 for _, count in created if count),
        replaced=replaced,
        ended=replaced + rollout.drain,
        at_most=max(now, replaced + rollout.grace),
        peak=_peak(rollout, told, created),
    )


def _peak(
    rollout: Rollout, told: Sequence[tuple[float, int]], created: Sequence[tuple[float, int]]
) -> int:
    """The most pods at once: those created by then, less the old ones that have ended by then."""
    return max(
        rollout.pods
        + sum(count for at, count in created if at <= now)
        - sum(count for at, count in told if at + rollout.drain <= now)
        for now, _ in created
    )


def clock(seconds: float) -> str:
    """3725 as 1 h 2 min 5 s."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "min"), (left, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def table(rollout: Rollout, found: Release) -> str:
    """The answer for people."""
    rows = [
        ("new pods at once", f"{rollout.surge + rollout.unavailable:,}", ""),
        ("waves of them", f"{found.waves:,}", f"{clock(rollout.start + rollout.min_ready)} each"),
        ("every new pod serves after", clock(found.replaced), ""),
        ("the last old conversation ends after", clock(found.ended), "the release's end"),
        ("at most, whatever hangs", clock(found.at_most), f"SIGKILL {clock(rollout.grace)} in"),
        ("pods at the peak", f"{found.peak:,}", f"{found.peak - rollout.pods:,} more than usual"),
    ]
    if rollout.cut:
        rows.append(
            ("conversations are cut", f"{clock(rollout.cut)} short", "raise RELAY_DRAIN_TIMEOUT")
        )
    return "\n".join(f"{left:<38}{middle:>16}  {right}".rstrip() for left, middle, right in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer; 0, or 2 when the question has no answer."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--pods", type=int, required=True, help="replicas of the Deployment")
    add("--surge", default=SURGE, help="rollout.maxSurge (%(default)s)")
    add("--unavailable", default="0", help="rollout.maxUnavailable (%(default)s)")
    add("--start", type=float, default=20, help="seconds until a new pod is ready (%(default)s)")
    add("--min-ready", type=float, default=MIN_READY, help="minReadySeconds (%(default)s)")
    add("--delay", type=float, default=DELAY, help="RELAY_DRAIN_DELAY (%(default)s)")
    add("--drain", type=float, default=TIMEOUT, help="RELAY_DRAIN_TIMEOUT (%(default)s)")
    add("--margin", type=float, default=MARGIN, help="drain.marginSeconds (%(default)s)")
    add(
        "--longest", type=float, default=5, help="minutes of the longest conversation (%(default)s)"
    )
    asked = parser.parse_args(arguments)
    numbers = (asked.start, asked.min_ready, asked.delay, asked.drain, asked.margin, asked.longest)
    if asked.pods < 1 or min(numbers) < 0:
        parser.error("pods must be above 0, times not below")
    try:
        rollout = Rollout(
            pods=asked.pods,
            surge=pods_of(asked.surge, asked.pods, up=True),
            unavailable=pods_of(asked.unavailable, asked.pods, up=False),
            start=asked.start,
            min_ready=asked.min_ready,
            delay=asked.delay,
            timeout=asked.drain,
            margin=asked.margin,
            longest=asked.longest * 60,
        )
        found = release(rollout)
    except ValueError as impossible:
        print(impossible, file=sys.stderr)
        return 2
    print(table(rollout, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
