"""Web integration tokens: minted, listed, revoked, and judged when a client dials."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from app.emulator.options import Options

KEPT: Final = 10_000
WELL_KNOWN: Final = "emulated-integration"


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a web integration."""

    id: str
    integration: str
    name: str
    secret: str
    created_at: dt.datetime
    expires_at: dt.datetime | None

    def expired(self, now: dt.datetime) -> bool:
        """Whether it is past its `expiresAt`."""
        return self.expires_at is not None and now >= self.expires_at

    def view(self, *, with_secret: bool) -> dict[str, Any]:
        """Build the REST answer; the token itself is shown once, when it is minted."""
        shown: dict[str, Any] = {"tokenId": self.id}
        if with_secret:
            shown["token"] = self.secret
        shown["name"] = self.name
        shown["createdAt"] = self.created_at.isoformat()
        shown["expiresAt"] = self.expires_at.isoformat() if self.expires_at else None
        return shown


class Tokens:
    """The tokens of every integration. The one from the options is valid everywhere, for ever."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._tokens: dict[str, Token] = {}

    def mint(self, integration: str, name: str, expires_at: dt.datetime | None) -> Token | None:
        """Mint a token; `None` if the integration has one of that name."""
        if any(token.name == name for token in self.of(integration)):
            return None
        if len(self._tokens) >= KEPT:
            del self._tokens[next(iter(self._tokens))]
        secret = f"wit_{secrets.token_urlsafe(24)}"
        now = dt.datetime.now(dt.UTC)
        token = Token(secrets.token_hex(8), integration, name, secret, now, expires_at)
        self._tokens[token.id] = token
        return token

    def of(self, integration: str) -> list[Token]:
        """List an integration's tokens, oldest first."""
        return [token for token in self._tokens.values() if token.integration == integration]

    def revoke(self, integration: str, token_id: str) -> bool:
        """Revoke a token; false if there is none of that id."""
        token = self._tokens.get(token_id)
        if token is None or token.integration != integration:
            return False
        del self._tokens[token_id]
        return True

    def valid(self, secret: str) -> bool:
        """Whether a dial with this token is let in."""
        return self.integration_of(secret) is not None

    def integration_of(self, secret: str) -> str | None:
        """Name the integration that a token is of; `None` if it is not valid."""
        if secrets.compare_digest(secret.encode(), self._options.token.encode()):
            return WELL_KNOWN
        now = dt.datetime.now(dt.UTC)
        for token in self._tokens.values():
            if token.secret == secret and not token.expired(now):
                return token.integration
        return None
