"""JWTs where tenants have keys of their own: each is verified by the keys of one tenant alone.

Whose keys is chosen before anything is verified: by the agent that the request names, else by the
claims `agent` and `iss` of the token itself. That choice grants nothing: a token that the holder of
those keys has not signed is refused, and one that is accepted is good for that tenant alone.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.auth.authenticator import AuthMethod
    from app.auth.connect_request import ConnectRequest, Credential
    from app.protocol.principal import Principal

PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """How one tenant's JWTs are verified; `issuer` is the `iss` that they must have, if any."""

    method: AuthMethod
    issuer: str | None = None


class TenantJwt:
    """The `jwt` method of several tenants. `operator` verifies those that are no tenant's.

    `owner` names the tenant of an agent, `keys` returns those of the tenants that have some.
    """

    ambient = False

    def __init__(
        self,
        operator: AuthMethod | None,
        owner: Callable[[str], str | None],
        keys: Callable[[], Mapping[str, TenantKeys]],
    ) -> None:
        self._operator = operator
        self._owner = owner
        self._keys = keys

    def handles(self, credential: Credential | None) -> bool:
        """Take JWTs, where any key could verify them."""
        if credential is None or not credential.is_jwt:
            return False
        return self._operator is not None or bool(self._keys())

    async def authenticate(
        self, request: ConnectRequest, credential: Credential | None
    ) -> Principal:
        """Verify the token by the keys of its tenant; raises Refusal."""
        if credential is None:
            raise Refusal(UNAUTHENTICATED)
        keys = self._keys()
        tenant = self._tenant(request, credential.value.get_secret_value(), keys)
        if tenant is None or tenant not in keys:
            if self._operator is None:
                raise Refusal(UNAUTHENTICATED)
            return await self._operator.authenticate(request, credential)
        principal = await keys[tenant].method.authenticate(request, credential)
        return replace(principal, tenant=tenant)

    def _tenant(
        self, request: ConnectRequest, token: str, keys: Mapping[str, TenantKeys]
    ) -> str | None:
        agent = request.agent or request.query.get("agent")
        if agent is not None:
            return self._owner(agent)
        claims = _unverified(token)
        agent, issuer = claims.get("agent"), claims.get("iss")
        if isinstance(agent, str):
            return self._owner(agent)
        if isinstance(issuer, str):
            return next((name for name, held in keys.items() if held.issuer == issuer), None)
        return None


def _unverified(token: str) -> dict[str, Any]:
    """The claims of a token as they stand; nothing where they cannot be read."""
    parts = token.split(".")
    if len(parts) != PARTS:
        return {}
    try:
        encoded = parts[1].encode()
        claims = orjson.loads(urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
