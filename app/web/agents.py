"""Which agent a request is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from app.auth.connect_request import ConnectRequest
from app.protocol.close_codes import NO_SUCH_AGENT
from app.protocol.errors import Refusal
from app.protocol.initialize import Profile
from app.protocol.principal import Principal
from app.protocol.routing import served
from app.protocol.tenant import may_use_agent

DEFAULT_AGENT: Final = "default"


@dataclass(frozen=True, slots=True)
class Agents:
    """Every agent's profile; `resolve` completes one with what is known only at an arrival."""

    profiles: Mapping[str, Profile]
    resolve: Callable[[Profile], Awaitable[Profile]]

    def chosen(self, request: ConnectRequest, principal: Principal) -> Profile:
        """The credential's agent, else the path's, the query's or the default one.

        It is the one that serves this subject, where that agent has routes. Raises Refusal: for a
        tenant's credential, there are no agents but that tenant's.
        """
        name = principal.agent or request.agent or request.query.get("agent")
        if name is None:
            profile = default_profile(self.profiles, principal.tenant)
        else:
            profile = self.profiles.get(name)
        if profile is None or not may_use_agent(principal, profile.tenant):
            raise Refusal(NO_SUCH_AGENT)
        return served(self.profiles, profile, principal.subject)

    async def completed(self, profile: Profile) -> Profile:
        """A profile with what is known only at an arrival, its fallback's included."""
        found = await self.resolve(profile)
        if found.fallback is None or not found.fallback.integration_tools:
            return found
        return replace(found, fallback=await self.resolve(found.fallback))

    def named(self, request: ConnectRequest) -> Profile | None:
        """The agent that the request itself names; None where that is left to the credential."""
        name = request.agent or request.query.get("agent")
        return None if name is None else self.profiles.get(name)


def default_profile(profiles: Mapping[str, Profile], tenant: str | None) -> Profile | None:
    """The agent of a tenant (None: the operator) where none is named: `default`, else the first."""
    profile = profiles.get(DEFAULT_AGENT)
    if profile is not None and profile.tenant == tenant:
        return profile
    return next((each for each in profiles.values() if each.tenant == tenant), None)


def named(profiles: Mapping[str, Profile], integration: str) -> Profile | None:
    """The agent that `{id}` of a vendor's path names: by its name, else by `web_integration_id`."""
    if integration in profiles:
        return profiles[integration]
    return next((p for p in profiles.values() if p.web_integration_id == integration), None)
