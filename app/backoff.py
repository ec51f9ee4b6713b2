"""Random spreads of time: many clients, or many replicas, must not come back in one instant."""

from __future__ import annotations

from dataclasses import dataclass
from random import uniform
from typing import Final

MAX_DOUBLINGS: Final = 32


def between(least: float, most: float) -> float:
    """Seconds at random from `least` to `most`."""
    return uniform(least, most)  # noqa: S311 - a spread, no secret


def jittered(seconds: float) -> float:
    """Seconds at random from half of `seconds` to all of them."""
    return between(seconds / 2, seconds)


def retry_soon() -> float:
    """Seconds after which a client may ask again for what is only being looked for."""
    return between(1.0, 5.0)


def retry_later() -> float:
    """Seconds after which a client may ask again for what is used up."""
    return between(5.0, 10.0)


def reconnect_after() -> float:
    """Seconds after which a client may connect to another replica."""
    return between(0.5, 5.0)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off in seconds: doubling from `first` to `longest`."""

    first: float
    longest: float

    def limit(self, attempts: int) -> float:
        """The most that may pass before the next try, after so many of them (from 1)."""
        doubled: float = self.first * 2 ** min(attempts - 1, MAX_DOUBLINGS)
        return min(self.longest, doubled)

    def after(self, attempts: int) -> float:
        """The pause after so many tries (from 1), jittered."""
        return jittered(self.limit(attempts))
