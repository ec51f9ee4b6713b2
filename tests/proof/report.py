"""What a proof reports: what was done, how often, what was lost, on which machine and code."""

from __future__ import annotations

import json
import os
import platform
import subprocess
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
    """How long a proof runs: until it has made `count`, or `seconds` are over."""

    seed: int
    count: int
    seconds: float
    began: float = field(default_factory=time.monotonic)

    def over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() - self.began > self.seconds


@dataclass(slots=True)
class Result:
    """What a run made (`done`: name to number), and what it lost.

    `least` names what must have been made at least once, or the run says nothing.
    """

    done: dict[str, float] = field(default_factory=dict)
    lost: int = 0
    found: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    least: tuple[str, ...] = ()

    def add(self, name: str, number: float = 1) -> None:
        """Count what was made."""
        self.done[name] = self.done.get(name, 0) + number

    def lose(self, what: str) -> None:
        """Count a loss; the first of them are told in words."""
        self.lost += 1
        if len(self.found) < MAX_FOUND:
            self.found.append(what)

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


def report(proof: Proof, bound: Bound, result: Result, took: float) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "name": proof.name,
        "promise": proof.promise,
        "verdict": result.verdict,
        "seed": bound.seed,
        "asked": {"count": bound.count, "seconds": bound.seconds, "unit": proof.unit},
        "done": {name: round(number, 3) for name, number in result.done.items()},
        "lost": result.lost,
        "found": result.found,
        "unfinished": result.unfinished,
        "notes": result.notes,
        "seconds": round(took, 1),
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
