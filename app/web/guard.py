"""Who may use a guarded route: a backend by its token, a person by the console's cookie."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from app.protocol.close_codes import FORBIDDEN, UNAUTHENTICATED
from app.protocol.errors import Refusal, StoreUnavailable
from app.web.actor import Actor, actor_of
from app.web.console.cookies import SESSION, ConsoleSite
from app.web.console.sessions import ConsoleSessions
from app.web.roles import least_role
from app.web.service_auth import ServiceTokens

SIGNED_OUT = "You are signed out. Please sign in again."


@dataclass(frozen=True, slots=True)
class Guard:
    """A dependency of routes. `sessions` is None without OpenID Connect.

    A request with an `Authorization` header is a backend's, whatever cookie comes with it.
    """

    tokens: ServiceTokens
    site: ConsoleSite
    sessions: ConsoleSessions | None = None

    async def __call__(self, request: Request) -> None:
        """Authenticate, for `actor_of`, and hold the route's role. Raises `Refusal` (401, 403)."""
        secret = self._cookie(request)
        if secret:
            self.site.check(request)
            actor = await self._signed_in(secret)
            if actor is None:
                raise Refusal(UNAUTHENTICATED, SIGNED_OUT)
            request.state.actor = actor
        else:
            self.tokens(request)
        actor = actor_of(request)
        needed = least_role(request.method, request.scope["route"].path)
        if actor.role < needed:
            raise Refusal(FORBIDDEN, f"This needs the role {needed.name.lower()}.")

    async def is_still_valid(self, request: Request) -> bool:
        """Whether who began a long answer may go on getting it, with the same rights.

        A person may have signed out or lost a role, a tenant or its token may have been removed.
        """
        secret = self._cookie(request)
        if not secret:
            return self.tokens.actor(request) == actor_of(request)
        try:
            return await self._signed_in(secret) == actor_of(request)
        except StoreUnavailable:
            return True  # nothing is known to have changed

    def _cookie(self, request: Request) -> str:
        if self.sessions is None or "authorization" in request.headers:
            return ""
        return self.site.read(request, SESSION)

    async def _signed_in(self, secret: str) -> Actor | None:
        return None if self.sessions is None else await self.sessions.find(secret)
