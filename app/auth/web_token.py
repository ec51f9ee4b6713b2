"""Reusable tokens in the shape of the vendor's web integration tokens (D L).

A backend mints one for an agent; pages present it as often as they like until it expires or is
revoked. 256 random bits, of which the store sees only a SHA-256: the token's id.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from pydantic import SecretStr

from app.auth.proxies import rate_limit_key
from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import Refusal
from app.protocol.principal import Principal
from app.protocol.tenant import scoped
from app.protocol.web_token import TokenConflict, TokenRecord
from blackbox_relay.exact_json import fitted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.auth.connect_request import ConnectRequest, Credential

DAY: Final = 24 * 3600.0
DEFAULT_LIFE: Final = 30 * DAY
"""Seconds that a token without `expiresAt` lives; the vendor's never expire (D)."""

MAX_LIFE: Final = 400 * DAY
PREFIX: Final = "bbw_"
METHOD: Final = "web_token"
RANDOM_BYTES: Final = 32
TOKEN: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
TOKEN_ID: Final = re.compile(r"[0-9a-f]{64}")


class TokenRecords(Protocol):
    """The shared store's tokens; its coroutines raise `StoreUnavailable`."""

    async def add_token(self, token: TokenRecord) -> TokenConflict | None:
        """Store a token."""
        ...

    async def find_token(self, key: str) -> bytes | None:
        """Return a valid token's payload."""
        ...

    async def delete_token(self, key: str, integration: str, name: str) -> bool:
        """Delete a token and free its name."""
        ...


@dataclass(frozen=True, slots=True)
class WebToken:
    """A minted token; times are in Unix seconds. `id` is its hash, which is no credential."""

    id: str
    token: SecretStr
    name: str
    created_at: float
    expires_at: float


class WebTokens:
    """Mints, verifies and revokes tokens; every coroutine raises `StoreUnavailable`.

    `revoke` marks a credential's id as revoked for some seconds, on every replica.
    """

    def __init__(
        self,
        records: TokenRecords,
        revoke: Callable[[str, float], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._records = records
        self._mark_revoked = revoke
        self._clock = clock
        self._random = random

    async def mint(
        self,
        integration: str,
        agent: str,
        name: str,
        expires_at: float | None,
        tenant: str | None = None,
    ) -> WebToken | TokenConflict:
        """Mint a token for an agent, which is `tenant`'s.

        Raises ValueError, fit to be shown, for a bad `expires_at`.
        """
        now = self._clock()
        life = DEFAULT_LIFE if expires_at is None else expires_at - now
        if not 0 < life <= MAX_LIFE:
            raise ValueError(f"expiresAt must be in the future, within {MAX_LIFE / DAY:.0f} days")
        text = PREFIX + urlsafe_b64encode(self._random(RANDOM_BYTES)).rstrip(b"=").decode()
        token = WebToken(_key(text), SecretStr(text), name, now, now + life)
        payload = orjson.dumps(
            {
                "agent": agent,
                "integration": integration,
                "name": name,
                "expires_at": token.expires_at,
                **({} if tenant is None else {"tenant": tenant}),
            }
        )
        group = scoped(integration, tenant)
        record = TokenRecord(token.id, group, name, fitted(payload), life)
        conflict = await self._records.add_token(record)
        return token if conflict is None else conflict

    async def verify(self, token: SecretStr, address: str) -> Principal:
        """Return whom a token lets in from an address; raises Refusal.

        A token may be part of a public page: its bearers are told apart by their addresses.
        """
        text = token.get_secret_value()
        stored = await self._find(_key(text)) if TOKEN.fullmatch(text) else None
        if stored is None:
            raise Refusal(UNAUTHENTICATED)
        bearer = hashlib.sha256(f"relay:{rate_limit_key(address)}".encode()).hexdigest()[:16]
        return Principal(
            f"{stored['integration']}/{stored['name']}/{bearer}",
            METHOD,
            agent=stored["agent"],
            credential_id=_key(text),
            tenant=stored.get("tenant"),
        )

    async def revoke(
        self, integration: str, token_id: str, visible: Callable[[str | None], bool]
    ) -> bool:
        """Revoke a token, and end its live sessions on every replica; False if there is none.

        `visible` tells whether who asks may know of a tenant's tokens.
        """
        if not TOKEN_ID.fullmatch(token_id):
            return False
        stored = await self._find(token_id)
        if stored is None or stored["integration"] != integration:
            return False
        tenant = stored.get("tenant")
        if not visible(tenant):
            return False
        # Marked first: if the second step fails, the token stays revoked and can be deleted again.
        await self._mark_revoked(token_id, max(1.0, stored["expires_at"] - self._clock()))
        scope = scoped(integration, tenant)
        return await self._records.delete_token(token_id, scope, stored["name"])

    async def _find(self, key: str) -> dict[str, Any] | None:
        payload = await self._records.find_token(key)
        if payload is None:
            return None
        stored: dict[str, Any] = orjson.loads(payload)
        return stored if self._clock() < stored["expires_at"] else None


class WebTokenAuth:
    """The method for tokens of `POST /api/v1/web-integrations/{id}/tokens`, told by a prefix."""

    ambient = False

    def __init__(self, tokens: WebTokens) -> None:
        self._tokens = tokens

    def handles(self, credential: Credential | None) -> bool:
        """Take what begins as such a token does."""
        return credential is not None and credential.value.get_secret_value().startswith(PREFIX)

    async def authenticate(
        self,
        request: ConnectRequest,
        credential: Credential | None,
    ) -> Principal:
        """Verify the token; it stays usable."""
        if credential is None:
            raise Refusal(UNAUTHENTICATED)
        return await self._tokens.verify(credential.value, request.address)


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
