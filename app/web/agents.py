"""Which agent a request is for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from app.auth.connect_request import ConnectRequest
from app.protocol.close_codes import NO_SUCH_AGENT
from app.protocol.errors import Refusal
from app.protocol.initialize import Profile
from app.protocol.principal import Principal

DEFAULT_AGENT: Final = "default"


@dataclass(frozen=True, slots=True)
class Agents:
    """Every agent's profile; `resolve` completes one with what is known only at an arrival."""

    profiles: Mapping[str, Profile]
    resolve: Callable[[Profile], Awaitable[Profile]]

    def chosen(self, request: ConnectRequest, principal: Principal) -> Profile:
        """The credential's agent, else the path's, the query's or the default one.

        Raises Refusal.
        """
        name = principal.agent or request.agent or request.query.get("agent")
        if name is None:
            default = DEFAULT_AGENT in self.profiles
            name = DEFAULT_AGENT if default else next(iter(self.profiles))
        profile = self.profiles.get(name)
        if profile is None:
            raise Refusal(NO_SUCH_AGENT)
        return profile


def named(profiles: Mapping[str, Profile], integration: str) -> Profile | None:
    """The agent that `{id}` of a vendor's path names: by its name, else by `web_integration_id`."""
    if integration in profiles:
        return profiles[integration]
    return next((p for p in profiles.values() if p.web_integration_id == integration), None)
