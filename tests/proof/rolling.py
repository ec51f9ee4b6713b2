"""Both replicas are restarted in turn, under conversations with running tools (test_rolling.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.proof.failing import attempt
from tests.proof.report import Bound, Proof, Result
from tests.replicas.test_rolling import rolled

if TYPE_CHECKING:
    from pathlib import Path

SIZE: Final = 24
ONE_ROUND: Final = 60.0  # seconds that a round may take


def run(bound: Bound) -> Result:
    """Restart, one round after the other until the bound, each by a seed of its own."""
    result = Result(least=("restarts", "told of a drain", "numbered texts"))
    for number in range(bound.count):
        if bound.over():
            break

        async def roll(directory: Path, seed: int = bound.seed + number) -> dict[str, float]:
            return await rolled(directory, rounds=1, size=SIZE, seed=seed)

        attempt(roll, result, 4 * ONE_ROUND)
    return result


PROOF: Final = Proof(
    "rolling",
    "a release loses, reorders and doubles no frame and no run of a tool",
    count=1000,
    seconds=120,
    unit="rounds",
    run=run,
)
