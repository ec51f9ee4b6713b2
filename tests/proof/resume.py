"""Browsers' sockets are cut at random bytes before two replicas, and what is between these breaks.

The cuts are those of tests/replicas/test_cuts.py; the breaks of Redis, of the bridge and of a
replica are those of tests/replicas/test_broken_bridges.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tests.proof import tested
from tests.proof.failing import attempt
from tests.proof.report import Bound, Proof, Result
from tests.replicas.test_cuts import exact_through

if TYPE_CHECKING:
    from pathlib import Path

BRIDGES: Final = "tests/replicas/test_broken_bridges.py"
CUTTING: Final = 0.6  # of the seconds; the rest is for conversations to end, and for the bridges
BREAKS_FROM: Final = 200  # cuts; below that, bridges are not broken
BREAKING: Final = 300.0  # seconds that the breaks may take at least


def run(bound: Bound) -> Result:
    """Cut, and break."""
    result = Result(least=("cuts", "resumes", "numbered texts"))
    until = time.monotonic() + CUTTING * bound.seconds

    async def cut(directory: Path) -> dict[str, float]:
        return await exact_through(directory, bound.count, bound.seed, until=until)

    attempt(cut, result, bound.seconds)
    if bound.count >= BREAKS_FROM:
        tested.run([BRIDGES], max(BREAKING, 0.4 * bound.seconds), result)
    return result


PROOF: Final = Proof(
    "resume",
    "a conversation whose sockets are cut goes on without a gap or a double in both directions, or "
    "ends with 4410",
    count=100_000,
    seconds=150,
    unit="cuts",
    run=run,
)
