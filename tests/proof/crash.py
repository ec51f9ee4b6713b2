"""Replicas are killed under load (kill -9): browsers are told and begin anew (test_kill.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.proof import tested
from tests.proof.failing import attempt
from tests.proof.report import Bound, Proof, Result
from tests.replicas.test_kill import killed

if TYPE_CHECKING:
    from pathlib import Path

SIZE: Final = 30
AT_ONCE: Final = 4  # kills of one pair of replicas
BACK: Final = "in a new conversation within, p99 in s"
TOLD: Final = "told within, p99 in s"
LIMIT: Final = 3.0  # seconds, p99
BESIDE: Final = (
    "tests/replicas/test_kill.py::test_caps_of_a_killed_replica_are_free_within_their_lease",
    "tests/history/test_outages.py::test_a_database_that_is_killed_and_restarted_loses_what_is_counted",
)


def run(bound: Bound) -> Result:
    """Kill until the bound; then see that caps come free, and that what history has is kept."""
    result = Result(least=("kills", "conversations lost with their replica"))
    made = 0
    worst = {BACK: 0.0, TOLD: 0.0}
    while made < bound.count and not bound.over():
        kills = min(AT_ONCE, bound.count - made)

        async def kill(directory: Path, kills: int = kills, seed: int = made) -> dict[str, float]:
            return await killed(directory, kills=kills, size=SIZE, seed=bound.seed + seed)

        once = Result()
        attempt(kill, once, 300)
        made += kills
        for what in once.found:
            result.lose(what)
        result.unfinished += once.unfinished
        for name, number in once.done.items():
            if name in worst:
                worst[name] = max(worst[name], number)
            else:
                result.add(name, number)
    for name, number in worst.items():
        result.done[f"worst: {name}"] = number
    result.require(worst[BACK] < LIMIT, f"back within {worst[BACK]:.2f} s (p99), not {LIMIT}")
    tested.run(BESIDE, 180, result)
    return result


PROOF: Final = Proof(
    "crash",
    "browsers of a killed replica are in a new conversation in under 3 s (p99), its caps are free "
    "within the lease, and history keeps what it acknowledged",
    count=300,
    seconds=120,
    unit="kills",
    run=run,
)
