"""From settings to the ways to authenticate.

What is not configured is not imported either: JWTs with their cryptography would take
longer to load than all the rest, at every start of every replica.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.auth.forward import Forward
from app.auth.open import Open
from app.auth.tenant_jwt import TenantJwt
from app.auth.ticket import OfferedTicket, TicketAuth, Tickets
from app.auth.web_token import WebTokenAuth, WebTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from app.auth.authenticator import AuthMethod
    from app.auth.jwt import Jwt
    from app.auth.tenant_jwt import TenantKeys
    from app.protocol.initialize import Profile
    from app.settings import Settings


def methods(
    settings: Settings,
    tickets: Tickets,
    tokens: WebTokens,
    client: httpx.AsyncClient,
    tenants: TenantJwtSource,
) -> list[AuthMethod]:
    """The configured ways to authenticate, in their order.

    Reusable tokens are accepted where tickets are, and where everybody is.
    """
    accepted = {"ticket", "open"} & set(settings.auth)
    found: list[AuthMethod] = [WebTokenAuth(tokens)] if accepted else []
    for name in settings.auth:
        if name == "ticket":
            found.append(TicketAuth(tickets))
        elif name == "jwt":
            found.append(tenants.method(jwt(settings, client)))
        elif name == "forward" and settings.forward_auth_url:
            headers = settings.forward_auth_header
            found.append(Forward(settings.forward_auth_url, client, user_headers=headers))
        elif name == "open":
            found += [OfferedTicket(tickets), Open()]
    return found


def jwt(settings: Settings, client: httpx.AsyncClient) -> Jwt | None:
    """The `jwt` method with the operator's keys; None where only tenants have some."""
    if not (settings.jwt_secret or settings.jwt_public_key or settings.jwt_jwks_url):
        return None
    from app.auth.jwks import Jwks  # noqa: PLC0415 - see above
    from app.auth.jwt import Jwt, JwtKeys  # noqa: PLC0415

    keys = JwtKeys(
        secret=settings.jwt_secret,
        public_key=settings.jwt_public_key.get_secret_value() if settings.jwt_public_key else None,
        jwks_url=settings.jwt_jwks_url,
        algorithms=settings.jwt_algorithms,
        issuer=settings.jwt_issuer,
        audience=tuple(filter(None, (settings.jwt_audience,))),
    )
    url = settings.jwt_jwks_url
    return Jwt(keys, Jwks(url, client, keys.allowed()) if url else None)


@dataclass(frozen=True, slots=True)
class TenantJwtSource:
    """Where the `jwt` method finds an agent's tenant, and the tenants' keys."""

    profiles: Mapping[str, Profile]
    keys: Callable[[], Mapping[str, TenantKeys]]

    def method(self, operator: Jwt | None) -> AuthMethod:
        """The method that verifies each JWT by the keys of its tenant."""
        return TenantJwt(operator, self._owner, self.keys)

    def _owner(self, agent: str) -> str | None:
        profile = self.profiles.get(agent)
        return None if profile is None else profile.tenant
