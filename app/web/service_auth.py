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
        tenant = None if self.tenancy is None else self.tenancy.actor(_bearer(request))
        if tenant is not None:
            request.state.actor = tenant
            require_route(tenant, request)
            return
        if not self._bears(request, self.tokens):
            raise Refusal(UNAUTHENTICATED, "A service token is needed: Authorization: Bearer …")
        content = self._bears(request, self.content)
        request.state.actor = Actor("service token", content=content)

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
