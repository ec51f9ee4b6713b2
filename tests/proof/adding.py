"""Adds a run to earlier ones of the same proof: other seeds, the same commit, build and machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.proof.report import MAX_FOUND, commit, machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.proof.report import Proof

WORST_FIRST: Final = ("lost", "unfinished", "nothing done", "held")
SAME: Final = ("processors", "python", "system", "build")


def earlier(proof: Proof, seed: int, directory: Path) -> dict[str, Any] | None:
    """The report that a run with this seed may be added to; None if there is none yet.

    Raises ValueError if figures of this run could not be added to those of that report.
    """
    path = directory / f"{proof.name}.json"
    if not path.exists():
        return None
    if not proof.adds_up:
        raise ValueError(f"{proof.name}: its figures cannot be added up; run it without --add")
    before: dict[str, Any] = json.loads(path.read_text())
    here, now = machine(), commit()
    if before["commit"] != now or now.endswith("+"):
        raise ValueError(f"{path} is of another commit than {now}; run it without --add")
    if any(before["machine"][name] != here[name] for name in SAME):
        raise ValueError(f"{path} is of another machine or build; run it without --add")
    if seed in before["seeds"]:
        raise ValueError(f"{path} has a run with seed {seed}; choose another one")
    return before


def added(before: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """Both reports as one: sums, the greatest of what is not summed, the worse verdict."""
    greatest = {*before["greatest"], *made["greatest"]}
    done = dict(before["done"])
    for name, number in made["done"].items():
        old = done.get(name, number if name in greatest else 0)
        done[name] = max(old, number) if name in greatest else round(old + number, 3)
    verdicts = (before["verdict"], made["verdict"])
    return {
        **made,
        "verdict": next(verdict for verdict in WORST_FIRST if verdict in verdicts),
        "seeds": [*before["seeds"], *made["seeds"]],
        "interrupted": before["interrupted"] or made["interrupted"],
        "done": done,
        "greatest": sorted(greatest),
        "lost": before["lost"] + made["lost"],
        "found": [*before["found"], *made["found"]][:MAX_FOUND],
        "unfinished": [*before["unfinished"], *made["unfinished"]],
        "notes": list(dict.fromkeys([*before["notes"], *made["notes"]])),
        "seconds": round(before["seconds"] + made["seconds"], 1),
        "cpu_seconds": round(before["cpu_seconds"] + made["cpu_seconds"], 1),
    }
