"""What a proof reports: what was done, how often, what was lost, on which machine and code."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).parents[2]
REPORTS: Final = ROOT / "docs" / "proof"
MAX_FOUND: Final = 20  # of what was lost or found, as text; all are counted


@dataclass(frozen=True, slots=True)
class Bound:
    """How long a proof runs: until it has made `count`, `seconds` are over, or it is stopped."""

    seed: int
    count: int
    seconds: float
    began: float = field(default_factory=time.monotonic)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> float:
        """Seconds that are left, 0 if it is over."""
        if self.stopped.is_set():
            return 0.0
        return max(0.0, self.began + self.seconds - time.monotonic())

    def over(self) -> bool:
        """Whether the time is over, or the run was interrupted."""
        return not self.left

    def stop(self) -> None:
        """Let the run end as if its time were over; its parts' time, too."""
        self.stopped.set()

    def part(self, count: int, seconds: float, seed: int | None = None) -> Bound:
        """A bound for a part that begins now; stopped with the whole, and over with it."""
        chosen = self.seed if seed is None else seed
        return Bound(chosen, count, min(seconds, self.left), stopped=self.stopped)


@dataclass(slots=True)
class Result:
    """What a run made (`done`: name to number), and what it lost.

    `least` names what must have been made at least once, or the run says nothing. `greatest` names
    figures that are not summed over parts of a run or over runs: the greatest is kept.
    """

    done: dict[str, float] = field(default_factory=dict)
    lost: int = 0
    found: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    least: tuple[str, ...] = ()
    greatest: set[str] = field(default_factory=set)

    def add(self, name: str, number: float = 1) -> None:
        """Count what was made."""
        self.done[name] = self.done.get(name, 0) + number

    def lose(self, what: str) -> None:
        """Count a loss; the first of them are told in words."""
        self.lost += 1
        if len(self.found) < MAX_FOUND:
            self.found.append(what)

    def peak(self, name: str, number: float) -> None:
        """Keep the greatest of a figure."""
        self.greatest.add(name)
        self.done[name] = max(self.done.get(name, number), number)

    def merge(self, part: Result) -> None:
        """Take in what a part of the run made and lost."""
        for name, number in part.done.items():
            if name in part.greatest:
                self.peak(name, number)
            else:
                self.add(name, number)
        self.lost += part.lost
        self.found += part.found[: MAX_FOUND - len(self.found)]
        self.unfinished += part.unfinished
        self.notes += [note for note in part.notes if note not in self.notes]

    def require(self, holds: bool, otherwise: str) -> None:
        """Count a loss unless a fact holds."""
        if not holds:
            self.lose(otherwise)

    @property
    def verdict(self) -> str:
        """`held`, `lost`, `unfinished`, or `nothing done` where what had to be made was not."""
        if self.lost or self.unfinished:
            return "lost" if self.lost else "unfinished"
        return "held" if self.done and all(map(self.done.get, self.least)) else "nothing done"


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof: its name, what it promises, its usual bound, how it is run."""

    name: str
    promise: str
    count: int
    seconds: float
    unit: str
    run: Callable[[Bound], Result]
    # What `make chaos` or `make soak` runs; `make proof` runs all.
    group: str = "proof"
    # Whether figures of runs with other seeds, on the same commit, may be added up.
    adds_up: bool = True


def cpu_seconds() -> float:
    """CPU time of this process and of the children that it has waited for."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def report(
    proof: Proof, bound: Bound, result: Result, took: float, cpu: float = 0.0
) -> dict[str, Any]:
    """What is kept of a run that took so many seconds, and so many of CPU time."""
    return {
        "name": proof.name,
        "promise": proof.promise,
        "verdict": result.verdict,
        "seeds": [bound.seed],
        "interrupted": bound.stopped.is_set(),
        "asked": {"count": bound.count, "seconds": bound.seconds, "unit": proof.unit},
        "done": {name: round(number, 3) for name, number in result.done.items()},
        "greatest": sorted(result.greatest),
        "lost": result.lost,
        "found": result.found,
        "unfinished": result.unfinished,
        "notes": result.notes,
        "seconds": round(took, 1),
        "cpu_seconds": round(cpu, 1),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
    }


def write(made: dict[str, Any], directory: Path = REPORTS) -> Path:
    """Write a report to its file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{made['name']}.json"
    new = path.with_suffix(".new")
    new.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    return new.replace(path)


def commit() -> str:
    """The commit of the working tree; `+` behind it if product or tests differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    # From the root of the working tree: what runs may be a compiled copy in a folder of it.
    changed = git("status", "--porcelain", "--", ":/app", ":/blackbox_relay", ":/tests")
    return git("rev-parse", "HEAD") + ("+" if changed else "")


def machine() -> dict[str, Any]:
    """What the run had; the load tells whether it had it alone."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    from app.websocket.compiled import COMPILED  # noqa: PLC0415 - after `--build` is known

    return {
        "processors": os.cpu_count(),
        "memory_gib": round(pages * size / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 1),
        "build": "compiled" if COMPILED else "source",
    }
