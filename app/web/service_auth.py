"""Who may call `/v1/*`: backends and operators with a service token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from fastapi import Request
from pydantic import SecretStr

from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import Refusal
from app.web.actor import Actor


@dataclass(frozen=True, slots=True)
class ServiceTokens:
    """The accepted bearers; those in `content` may also see what was said."""

    tokens: tuple[SecretStr, ...]
    content: tuple[SecretStr, ...] = ()

    def __call__(self, request: Request) -> None:
        """Authenticate, for `actor_of`. Raises `Refusal` (401) without a service token."""
        if not self._bears(request, self.tokens):
            raise Refusal(UNAUTHENTICATED, "A service token is needed: Authorization: Bearer …")
        content = self._bears(request, self.content)
        request.state.actor = Actor("service token", content=content)

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
