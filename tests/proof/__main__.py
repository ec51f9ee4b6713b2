"""`python -m tests.proof NAME [--seed N] [--count N] [--seconds N]`: run a proof, write its report.

NAME is that of a proof, `all`, `chaos` or `page`. The exit status is 1 if anything was lost, or if
nothing was done. SIGINT or SIGTERM ends the proof that runs as if its time were over: its report
says what was reached, and that it was interrupted; a second one ends everything at once.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.proof import page
from tests.proof.adding import added, earlier
from tests.proof.report import REPORTS, Bound, cpu_seconds, report, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proof.report import Proof

NAMES: Final = page.ORDER


def proof(name: str) -> Proof:
    """A proof by its name."""
    found: Proof = import_module(f"tests.proof.{name}").PROOF
    return found


@contextmanager
def stopped_by_signals(bound: Bound) -> Iterator[None]:
    """The first SIGINT or SIGTERM stops the bound; the second does what it usually does."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    def back() -> None:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

    def stop(*_: object) -> None:
        back()
        bound.stop()

    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        back()


def run(it: Proof, bound: Bound, directory: Path, *, add: bool = False) -> bool:
    """Run one proof and write its report; tell whether what it promises held.

    `add`: to the figures of runs with other seeds on the same commit. Raises ValueError if they
    cannot be added up, before anything is run.
    """
    before = earlier(it, bound.seed, directory) if add else None
    print(
        f"{it.name}: seed {bound.seed}, at most {bound.count} {it.unit} or {bound.seconds:.0f} s",
        flush=True,
    )
    cpu = cpu_seconds()
    with stopped_by_signals(bound):
        result = it.run(bound)
    took = time.monotonic() - bound.began
    made = report(it, bound, result, took, cpu_seconds() - cpu)
    path = write(made if before is None else added(before, made), directory)
    done = ", ".join(f"{name}: {number:,}" for name, number in made["done"].items())
    print(
        f"{it.name}: {made['verdict']} in {made['seconds']} s ({made['cpu_seconds']} s of CPU); "
        f"{done}; {path}"
    )
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
    parser.add_argument("--add", action="store_true", help="to earlier runs of the same commit")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="where reports are written")
    asked = parser.parse_args(words)
    if asked.name == "page":
        page.write(asked.reports)
        return 0
    names = {"all": NAMES, "chaos": page.CHAOS}.get(asked.name, (asked.name,))
    seed = secrets.randbits(32) if asked.seed is None else asked.seed
    held = []
    for name in names:
        it = proof(name)
        bound = Bound(seed, asked.count or it.count, asked.seconds or it.seconds)
        held.append(run(it, bound, asked.reports, add=asked.add))
        page.write(asked.reports)
        if bound.stopped.is_set():
            break
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
