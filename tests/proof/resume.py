"""Browsers' sockets are cut at random bytes before two replicas, and what is between these breaks.

The cuts are those of tests/replicas/test_cuts.py, of more conversations at once and after fewer
bytes; the breaks of Redis, of the bridge and of a replica, which wait most of their time, are those
of tests/replicas/test_broken_bridges.py and run meanwhile.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from tests.proof import tested
from tests.proof.failing import attempt
from tests.proof.report import Bound, Proof, Result
from tests.replicas.test_cuts import exact_through

if TYPE_CHECKING:
    from pathlib import Path

BRIDGES: Final = "tests/replicas/test_broken_bridges.py"
BREAKING: Final = 150.0  # seconds that a run must have, or bridges are not broken
CONVERSATIONS: Final = 96
REACH: Final = (1_600, 2_400)  # bytes up and down; a handshake is some 700 and 200 of them
ENDING: Final = 6.0  # seconds that conversations have to end in peace when the time is over
GRACE: Final = 120.0  # seconds more that they may take before something hangs


def run(bound: Bound) -> Result:
    """Cut, and break."""
    result, bridges = Result(least=("cuts", "resumes", "numbered texts")), Result()

    async def cut(directory: Path) -> dict[str, float]:
        return await exact_through(
            directory,
            bound.count,
            bound.seed,
            until=time.monotonic() + bound.left - ENDING,
            size=CONVERSATIONS,
            reach=REACH,
            stopped=bound.stopped.is_set,
        )

    breaking = threading.Thread(target=_break_bridges, args=(bound, bridges))
    breaking.start()
    attempt(cut, result, bound.left + GRACE)
    breaking.join()
    result.merge(bridges)
    return result


def _break_bridges(bound: Bound, result: Result) -> None:
    if bound.left < BREAKING:
        result.notes.append(f"not run, for want of time: {BRIDGES}")
    else:
        tested.run([BRIDGES], bound.left, result, bound)


PROOF: Final = Proof(
    "resume",
    "a conversation whose sockets are cut goes on without a gap or a double in both directions, or "
    "ends with 4410",
    count=100_000,
    seconds=420,
    unit="cuts",
    run=run,
)
