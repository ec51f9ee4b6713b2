"""`python -m tests.proof NAME [--seed N] [--count N] [--seconds N]`: run a proof, write its report.

NAME is that of a proof, `all`, `chaos` or `page`. The exit status is 1 if anything was lost, or if
nothing was done.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.proof import page
from tests.proof.report import REPORTS, Bound, report, write

if TYPE_CHECKING:
    from tests.proof.report import Proof

NAMES: Final = page.ORDER


def proof(name: str) -> Proof:
    """A proof by its name."""
    found: Proof = import_module(f"tests.proof.{name}").PROOF
    return found


def run(it: Proof, seed: int, count: int | None, seconds: float | None, directory: Path) -> bool:
    """Run one proof and write its report; tell whether what it promises held."""
    bound = Bound(seed, count or it.count, seconds or it.seconds)
    print(
        f"{it.name}: seed {seed}, at most {bound.count} {it.unit} or {bound.seconds:.0f} s",
        flush=True,
    )
    result = it.run(bound)
    made = report(it, bound, result, time.monotonic() - bound.began)
    path = write(made, directory)
    done = ", ".join(f"{name}: {number:,}" for name, number in made["done"].items())
    print(f"{it.name}: {made['verdict']} in {made['seconds']} s; {done}; {path}")
    for found in (*result.found, *result.unfinished):
        print(f"  {found}")
    return result.verdict == "held"


def main(words: list[str] | None = None) -> int:
    """Run what was asked for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("name", choices=(*NAMES, "all", "chaos", "page"))
    parser.add_argument("--seed", type=int, help="as an earlier run printed it")
    parser.add_argument("--count", type=int, help="how many, at most")
    parser.add_argument("--seconds", type=float, help="for how long, at most")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="where reports are written")
    asked = parser.parse_args(words)
    if asked.name == "page":
        page.write(asked.reports)
        return 0
    names = {"all": NAMES, "chaos": page.CHAOS}.get(asked.name, (asked.name,))
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    held = [run(proof(name), seed, asked.count, asked.seconds, asked.reports) for name in names]
    page.write(asked.reports)
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
