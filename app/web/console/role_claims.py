"""From a provider's claims to a role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.web.actor import Role

ROLES_BY_NAME = {role.name.lower(): role for role in Role}


@dataclass(frozen=True, slots=True)
class RoleClaims:
    """Which claim holds roles or groups, and which role each of its values stands for.

    `claim` is a claim's name, or a path with dots, as `realm_access.roles`. `content` is the least
    role that may see what was said.
    """

    claim: str = "roles"
    values: Mapping[str, Role] | None = None
    content: Role = Role.OPERATOR

    def role(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest role that the claims give; None where they give none."""
        known = self.values or ROLES_BY_NAME
        found = self._found(claims)
        values = found if isinstance(found, list) else [found]
        roles = [known[value] for value in values if isinstance(value, str) and value in known]
        return max(roles, default=None)

    def _found(self, claims: Mapping[str, Any]) -> Any:
        if self.claim in claims:  # names may hold dots: https://example.com/roles
            return claims[self.claim]
        value: Any = claims
        for name in self.claim.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


def shown_name(claims: Mapping[str, Any]) -> str:
    """The name of a person for the console, the audit log and, in a takeover, the customer."""
    email = claims.get("email") if claims.get("email_verified") is not False else None
    for value in (claims.get("name"), claims.get("preferred_username"), email, claims["sub"]):
        if isinstance(value, str) and value.strip():
            printable = "".join(letter if letter.isprintable() else " " for letter in value)
            return printable.strip()[:128]
    return "unnamed"
