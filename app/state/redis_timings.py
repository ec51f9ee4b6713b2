"""How long things take in Redis, and the bounds of what is kept there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.state.places import PLACE_GUARD, PLACE_LEASE

MAX_INBOX: Final = 1_000
INBOX_EXPIRY: Final = 60.0


@dataclass(frozen=True, slots=True)
class Timings:
    """How long things take, in seconds.

    `timeout` is how long the store may be silent while a call is with it. The sessions
    of a replica that has not shown itself for `lease` are gone. A replica that has not beaten for
    `alive` takes no messages; it beats every third of that. `refill` is how long after an outage a
    missing row proves nothing: longer than owners take to refresh theirs. `place_lease` and
    `place_guard` are those of `PlaceTable`.
    """

    timeout: float = 0.4
    lease: float = 15.0
    alive: float = 1.5
    refill: float = 7.0
    place_lease: float = PLACE_LEASE
    place_guard: float = PLACE_GUARD
