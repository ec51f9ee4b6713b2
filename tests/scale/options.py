"""What a simulation is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PER_REPLICA: Final = 2_500
FEWEST: Final = 20
MOST: Final = 400


@dataclass(frozen=True, slots=True)
class Options:
    """Times are in seconds; `seconds` is for all of the run."""

    sessions: int
    seconds: float
    replicas: int
    workers: int
    lease: float
    refresh: float
    quiet: float


def replicas_for(sessions: int) -> int:
    """How many replicas are simulated, where nobody says it."""
    return min(MOST, max(FEWEST, sessions // PER_REPLICA))
