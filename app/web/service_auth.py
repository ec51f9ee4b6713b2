"""Who may call `/v1/*`: backends and operators with a service token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from fastapi import Request
from pydantic import SecretStr

from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import Refusal
from app.web.actor import Actor
from app.web.tenancy import Tenancy, require_route


@dataclass(frozen=True, slots=True)
class ServiceTokens:
    """The accepted bearers; those in `content` may also see what was said.

    `tenancy` knows those of tenants.
    """

    tokens: tuple[SecretStr, ...]
    content: tuple[SecretStr, ...] = ()
    tenancy: Tenancy | None = None

    def __call__(self, request: Request) -> None:
        """Authenticate, for `actor_of`. Raises `Refusal` (401) without a service token.

        Raises HTTPException (403) where a tenant calls what is the operator's.
        """
        actor = self.actor(request)
        if actor is None:
            raise Refusal(UNAUTHENTICATED, "A service token is needed: Authorization: Bearer …")
        request.state.actor = actor
        require_route(actor, request)

    def actor(self, request: Request) -> Actor | None:
        """Who bears the token of a request, None if it is unknown, now: tokens come and go."""
        tenant = None if self.tenancy is None else self.tenancy.actor(_bearer(request))
        if tenant is not None:
            return tenant
        if not self._bears(request, self.tokens):
            return None
        return Actor("service token", content=self._bears(request, self.content))

    @staticmethod
    def _bears(request: Request, accepted: tuple[SecretStr, ...]) -> bool:
        given = _bearer(request)
        if not given:
            return False
        # Every one is compared, so that the time taken tells nothing.
        matches = [
            hmac.compare_digest(given.encode(), token.get_secret_value().encode())
            for token in accepted
        ]
        return any(matches)


def _bearer(request: Request) -> str:
    """The bearer token that a request presents; empty without one."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""
