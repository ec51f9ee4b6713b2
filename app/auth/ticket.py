"""Tickets: a backend mints one for its user, who redeems it once, soon, and from one place."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from pydantic import SecretStr

from app.auth.claims import InvalidClaims, principal_from
from app.auth.origin import normal_origin
from app.protocol.close_codes import UNAUTHENTICATED
from app.protocol.errors import Refusal
from blackbox_relay.exact_json import fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.auth.connect_request import ConnectRequest, Credential
    from app.protocol.principal import CallType, Principal

DEFAULT_TTL: Final = 60.0
MAX_TTL: Final = 300.0
MAX_PAYLOAD: Final = 16 * 1024
# Two prefixes, so that one look-up is enough: the second kind is bound to an origin.
PLAIN: Final = "bbt_"
PINNED: Final = "bbo_"
METHOD: Final = "ticket"
RANDOM_BYTES: Final = 32
TICKET: Final = re.compile(rf"(?:{PLAIN}|{PINNED})[A-Za-z0-9_-]{{43}}")


class TicketStore(Protocol):
    """The part of the shared store that tickets need; its coroutines raise StateLost."""

    async def put_ticket(self, key: str, payload: bytes, ttl: float) -> None:
        """Keep a payload for `ttl` seconds."""
        ...

    async def peek_ticket(self, key: str) -> bytes | None:
        """Return the payload of a ticket that is not redeemed yet."""
        ...

    async def take_ticket(self, key: str, claimant: str | None = None) -> bytes | None:
        """Return the payload to one claimant alone."""
        ...

    def return_ticket(self, key: str, claimant: str) -> None:
        """Let another claimant have it."""
        ...


@dataclass(frozen=True, slots=True)
class TicketRequest:
    """What a backend asks for. `ttl` is in seconds, `tenant` whose users it lets in.

    Raises ValueError, fit to be shown.
    """

    subject: str
    agent: str | None = None
    call_type: CallType | None = None
    endpoint: str | None = None
    additional_data: Mapping[str, Any] = field(default_factory=dict, repr=False)
    origin: str | None = None
    ttl: float = DEFAULT_TTL
    tenant: str | None = None

    def __post_init__(self) -> None:
        """Check what a type cannot say."""
        if not 0 < self.ttl <= MAX_TTL:
            raise ValueError(f"ttl is more than 0 and at most {MAX_TTL:.0f} seconds")
        if self.origin is not None and normal_origin(self.origin) is None:
            raise ValueError("origin is one such as https://app.example.com")
        try:
            principal_from(self.claims(), METHOD, credential_id=None)
        except InvalidClaims as error:
            raise ValueError(f"{error.claim} cannot be used") from None
        try:
            size = len(orjson.dumps(self.claims()))
        except TypeError:
            raise ValueError("additional_data is no JSON") from None
        if size > MAX_PAYLOAD:
            raise ValueError(f"additional_data is larger than {MAX_PAYLOAD} bytes")

    def claims(self) -> dict[str, Any]:
        """Return what the store keeps."""
        return {
            "subject": self.subject,
            "agent": self.agent,
            "call_type": self.call_type,
            "endpoint": self.endpoint,
            "additional_data": dict(self.additional_data),
            "origin": self.origin,
            **({} if self.tenant is None else {"tenant": self.tenant}),
        }


@dataclass(frozen=True, slots=True)
class Ticket:
    """A minted ticket; `expires_at` is in Unix seconds.

    `id` is the credential id of the session it opens: a hash, which is no credential.
    """

    ticket: SecretStr
    expires_at: float
    id: str


class Tickets:
    """Mints and redeems tickets: 256 random bits, of which the store sees only a SHA-256.

    For a ticket that is pinned to an origin the hash covers the origin too. So one that is tried
    from elsewhere is simply not found: it is refused, and not burnt for its owner.
    """

    def __init__(
        self,
        store: TicketStore,
        *,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random

    async def mint(self, request: TicketRequest) -> Ticket:
        """Mint a ticket; raises StateLost."""
        origin = None if request.origin is None else normal_origin(request.origin)
        text = urlsafe_b64encode(self._random(RANDOM_BYTES)).rstrip(b"=").decode()
        ticket = (PLAIN if origin is None else PINNED) + text
        expires_at = self._clock() + request.ttl
        payload = fitted(orjson.dumps({**request.claims(), "until": expires_at}))
        key = _key(ticket, origin)
        await self._store.put_ticket(key, payload, request.ttl)
        return Ticket(SecretStr(ticket), expires_at, key)

    async def redeem(
        self, ticket: SecretStr, origin: str | None, claimant: str | None = None
    ) -> Principal:
        """Redeem a ticket, once; raises Refusal, and StateLost, after which it is not used up.

        `claimant` names the handshake that redeems it, which may do so again.
        """
        key = _checked_key(ticket, origin)
        return self._principal(key, await self._store.take_ticket(key, claimant))

    async def peek(self, ticket: SecretStr, origin: str | None) -> Principal:
        """Return whom a ticket is for, and leave it usable; raises Refusal, and StateLost."""
        key = _checked_key(ticket, origin)
        return self._principal(key, await self._store.peek_ticket(key))

    def _principal(self, key: str, payload: bytes | None) -> Principal:
        if payload is None:
            raise Refusal(UNAUTHENTICATED)
        claims = orjson.loads(payload)
        if self._clock() >= claims["until"]:
            raise Refusal(UNAUTHENTICATED)
        return principal_from(claims, METHOD, credential_id=key, tenant=claims.get("tenant"))

    def release(self, principal: Principal, claimant: str) -> None:
        """Let a ticket be redeemed again: its handshake was refused through no fault of its own."""
        if principal.method == METHOD and principal.credential_id is not None:
            self._store.return_ticket(principal.credential_id, claimant)


class TicketAuth:
    """The `ticket` method."""

    ambient = False

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets

    def handles(self, credential: Credential | None) -> bool:
        """Take whatever is no JWT."""
        return credential is not None and not credential.is_jwt

    async def authenticate(
        self, request: ConnectRequest, credential: Credential | None
    ) -> Principal:
        """Redeem the ticket for the page that asks."""
        if credential is None:
            raise Refusal(UNAUTHENTICATED)
        if not request.redeems:
            return await self._tickets.peek(credential.value, request.origin)
        return await self._tickets.redeem(credential.value, request.origin, request.id)


def _checked_key(ticket: SecretStr, origin: str | None) -> str:
    text = ticket.get_secret_value()
    if not TICKET.fullmatch(text):
        raise Refusal(UNAUTHENTICATED)
    return _key(text, (origin or "") if text.startswith(PINNED) else None)


class OfferedTicket(TicketAuth):
    """Tickets beside `open` authentication: one that is offered decides, and is never ignored."""

    def handles(self, credential: Credential | None) -> bool:
        """Take what has a ticket's form; anything else is for `open`."""
        return credential is not None and is_ticket(credential.value)


def is_ticket(value: SecretStr) -> bool:
    """Tell whether a credential has the form of the gateway's own tickets."""
    return TICKET.fullmatch(value.get_secret_value()) is not None


def _key(ticket: str, origin: str | None) -> str:
    text = ticket if origin is None else f"{ticket}\n{origin}"
    return hashlib.sha256(text.encode()).hexdigest()
