"""Partial texts: what the vendor sends of a text while it is still being said or recognised (D).

Everything turns on counters, never on chance, so that a failing test fails again.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 4
"""Partial texts before one final text, at most."""

ABANDONED: Final = {"assistant": "Let me see whether", "user": "Uh, hold"}
"""By source, a partial text that no final text follows: it was broken off."""


def partial_texts(text: str, number: int) -> list[str]:
    """The growing beginnings of the `number`-th text; every second ends in other words than it."""
    words = text.split(" ")
    share = -(-len(words) // LONGEST)
    found = [" ".join(words[:end]) for end in range(share, len(words) + share, share)]
    if number % 2:
        found[-1] = found[-1].rstrip(".!?").lower() + " um"
    return found


def abandoned(source: str, number: int) -> tuple[str, str] | None:
    """Before every third text: source and partial text of the other side, broken off."""
    if number % 3 != 2:  # noqa: PLR2004 - every third
        return None
    other = "user" if source == "assistant" else "assistant"
    return other, ABANDONED[other]
