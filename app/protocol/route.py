"""Spreading subjects over agents by weight."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from math import inf, log
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BITS: Final = 53
"""Bits of a hash that a double holds exactly."""


@dataclass(frozen=True, slots=True)
class Route:
    """One of the agents that an agent's subjects are spread over; a weight of 0 gets none."""

    agent: str
    weight: float


def agent_for(routes: Sequence[Route], subject: str) -> str:
    """The agent of one subject, by weighted rendezvous hashing.

    The same for the same routes in any order, in every process. Where one weight changes, subjects
    move to or from that agent alone, as many as its share changed by.
    """
    return max(routes, key=lambda route: (_score(route, subject), route.agent)).agent


def _score(route: Route, subject: str) -> float:
    """An exponential variate with the weight as its rate, negated: the earliest one wins."""
    if route.weight <= 0:
        return -inf
    digest = blake2b(f"{route.agent}\0{subject}".encode(), digest_size=8).digest()
    uniform = ((int.from_bytes(digest) >> (64 - BITS)) + 0.5) / (1 << BITS)
    return log(uniform) / route.weight
