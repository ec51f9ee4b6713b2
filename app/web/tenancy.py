"""Which objects and routes are a tenant's: the one place that decides.

A tenant's token may call the routes of `TENANT_ROUTES` alone; any other is refused (403), so that a
new route is closed to tenants until it is listed here. A listed route asks `visible` about each
object, and answers for another tenant's as for one that does not exist (404).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.exceptions import HTTPException

from app.auth.connect_request import ConnectRequest
from app.auth.origin import AllowedOrigins
from app.protocol.close_codes import FORBIDDEN
from app.protocol.errors import Refusal
from app.protocol.initialize import Profile
from app.web.actor import Actor, actor_of

ORIGIN_REFUSED: Final = "This origin is not allowed."
NOT_FOR_TENANTS: Final = "This route is for the gateway's operator alone."

TENANT_ROUTES: Final = frozenset(
    {
        "POST /v1/tickets",
        "POST /v1/revocations",
        "GET /v1/sessions",
        "GET /v1/sessions/{session_id}",
        "DELETE /v1/sessions/{session_id}",
        "GET /v1/sessions/{session_id}/watch",
        "POST /v1/sessions/{session_id}/messages",
        "POST /v1/sessions/{session_id}/events",
        "POST /v1/sessions/{session_id}/takeover",
        "PUT /v1/sessions/{session_id}/takeover",
        "DELETE /v1/sessions/{session_id}/takeover",
        "POST /v1/calls",
        "POST /v1/calls/bulk",
        "GET /v1/calls/{session_id}",
        "DELETE /v1/calls/{session_id}",
        "GET /v1/conversations",
        "DELETE /v1/conversations",
        "GET /v1/conversations/{conversation_id}",
        "GET /v1/conversations/{conversation_id}/transcript",
        "GET /v1/conversations/{conversation_id}/events",
        "GET /v1/usage",
        "GET /v1/deliveries",
        "POST /v1/deliveries/{delivery_id}/redeliver",
        "GET /v1/approvals",
        "POST /v1/approvals/{session_id}/{call_id:path}",
        "POST /api/v1/web-integrations/{integration}/tokens",
        "DELETE /api/v1/web-integrations/{integration}/tokens/{token_id}",
    }
)


class OriginRefused(Refusal):
    """The page's origin may not talk to this agent: told by HTTP, and nothing is spent."""


@dataclass(frozen=True, slots=True)
class TenantAccess:
    """How one tenant comes in: SHA-256 digests of its service tokens, its pages' origins.

    `content` are the digests of those tokens that may see what was said; `origins` None: as the
    operator allows.
    """

    name: str
    tokens: frozenset[bytes]
    content: frozenset[bytes] = frozenset()
    origins: AllowedOrigins | None = None


class Tenancy:
    """The tenants as routes know them; `replace` takes others in their place, at once."""

    def __init__(self, origins: AllowedOrigins, tenants: Iterable[TenantAccess] = ()) -> None:
        self._origins = origins
        self._actors: dict[bytes, Actor] = {}
        self._own: dict[str, AllowedOrigins] = {}
        self.replace(tenants)

    def replace(self, tenants: Iterable[TenantAccess]) -> None:
        """Know these tenants from now on."""
        actors, own = {}, {}
        for tenant in tenants:
            for digest in tenant.tokens:
                actors[digest] = Actor(
                    f"tenant {tenant.name}", tenant=tenant.name, content=digest in tenant.content
                )
            if tenant.origins is not None:
                own[tenant.name] = tenant.origins
        self._actors, self._own = actors, own

    def actor(self, bearer: str) -> Actor | None:
        """The tenant whose service token this is; the time taken tells nothing of others."""
        return self._actors.get(digest_of(bearer))

    def origins(self, tenant: str | None) -> AllowedOrigins:
        """Whose pages may talk to the agents of a tenant, or of the operator."""
        own = None if tenant is None else self._own.get(tenant)
        return self._origins if own is None else own

    def rule(self, asked: ConnectRequest, profile: Profile | None) -> AllowedOrigins | None:
        """The rule that allows a request's origin, or None.

        It is that of the agent, and where that is not known yet, any: `require_origin` follows.
        """
        if profile is not None:
            rules: tuple[AllowedOrigins, ...] = (self.origins(profile.tenant),)
        else:
            rules = (self._origins, *self._own.values())
        allowing = (rule for rule in rules if rule.allows(asked.origin, asked.host))
        return next(allowing, None)

    def require_origin(self, asked: ConnectRequest, tenant: str | None) -> None:
        """Raise `OriginRefused` unless the origin may talk to agents of this tenant."""
        if self._own and not self.origins(tenant).allows(asked.origin, asked.host):
            raise OriginRefused(FORBIDDEN, ORIGIN_REFUSED)


def digest_of(token: str) -> bytes:
    """The digest by which a service token is known."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def require_route(actor: Actor, request: Request) -> None:
    """Let a tenant's actor call only what is for tenants. Raises HTTPException (403)."""
    if actor.tenant is None:
        return
    route = request.scope.get("route")
    called = f"{request.method} {getattr(route, 'path', '')}"
    if called not in TENANT_ROUTES:
        raise HTTPException(403, NOT_FOR_TENANTS)


def visible(request: Request, tenant: str | None) -> bool:
    """Tell whether who asks may know of an object of this tenant's."""
    actor = actor_of(request)
    return actor.tenant is None or actor.tenant == tenant


def visible_profiles(request: Request, profiles: Mapping[str, Profile]) -> Mapping[str, Profile]:
    """The agents that who asks may know of."""
    actor = actor_of(request)
    if actor.tenant is None:
        return profiles
    return {name: each for name, each in profiles.items() if each.tenant == actor.tenant}


def chosen_tenant(request: Request, asked: str | None) -> str | None:
    """The tenant whose objects are asked for: a tenant's own; the operator's choice, None: all."""
    return actor_of(request).tenant or asked
