"""Who may call `/v1/*`: backends and operators with a service token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from fastapi import Request
from pydantic import SecretStr

from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import Refusal


@dataclass(frozen=True, slots=True)
class ServiceTokens:
    """The accepted bearers; those in `content` may also see what was said."""

    tokens: tuple[SecretStr, ...]
    content: tuple[SecretStr, ...] = ()

    def __call__(self, request: Request) -> None:
        """Raise `Refusal` (401) unless the request bears a service token."""
        if not self._bears(request, self.tokens):
            raise Refusal(UNAUTHENTICATED, "A service token is needed: Authorization: Bearer …")

    def sees_content(self, request: Request) -> bool:
        """Whether the bearer may see what was said."""
        return self._bears(request, self.content)

    @staticmethod
    def _bears(request: Request, accepted: tuple[SecretStr, ...]) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        # Every one is compared, so that the time taken tells nothing.
        matches = [
            hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode())
            for token in accepted
        ]
        return any(matches)
