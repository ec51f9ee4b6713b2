"""Which agent serves a subject: routes by weight, and the agent that stands in for another.

A route is one step: the agent that it leads to serves, whatever routes that one has of its own. So
is a fallback. No chain and no circle can come of either.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.protocol.route import agent_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.protocol.initialize import Profile

ROUTE, FALLBACK = "route", "fallback"
"""Why another agent serves than the one that was asked for."""


def linked(profiles: Mapping[str, Profile], fallbacks: Mapping[str, str]) -> dict[str, Profile]:
    """Profiles with those of their fallbacks, by name; both names are known to exist."""
    return {
        name: replace(profile, fallback=profiles[fallbacks[name]]) if name in fallbacks else profile
        for name, profile in profiles.items()
    }


def served(profiles: Mapping[str, Profile], profile: Profile, subject: str) -> Profile:
    """The profile that serves a subject who asks for `profile`; itself without routes."""
    if not profile.route:
        return profile
    chosen = profiles[agent_for(profile.route, subject)]
    if chosen.name == profile.name:
        return profile
    fallback = chosen.fallback or profile.fallback
    if fallback is not None and fallback.name == chosen.name:
        fallback = None
    return replace(chosen, fallback=fallback, requested_agent=profile.name, served_because=ROUTE)


def standing_in(profile: Profile) -> Profile | None:
    """The profile that stands in where `profile`'s upstream cannot be dialled, if there is one."""
    if profile.fallback is None:
        return None
    return replace(
        profile.fallback,
        fallback=None,
        requested_agent=profile.requested_agent or profile.name,
        served_because=FALLBACK,
    )
