"""A request to connect, as authentication sees it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from app.auth.proxies import Peer

BEARER: Final = "bearer."
# No credential is longer; what is costs nothing to refuse.
MAX_CREDENTIAL: Final = 16 * 1024
MAX_FIELDS: Final = 64


class CredentialLocation(StrEnum):
    """Where a credential was presented."""

    SUBPROTOCOL = "subprotocol"
    QUERY = "query"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Credential:
    """What was presented, and where."""

    value: SecretStr
    place: CredentialLocation

    @property
    def is_jwt(self) -> bool:
        """Tell a JWT (RFC 7519: two dots) from a ticket, which has none."""
        return self.value.get_secret_value().count(".") >= 2  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """One request for a WebSocket.

    `headers` have lower-case names, those repeated are joined by ", ". `address` is the client's as
    far as proxies are trusted, `scheme` and `host` are what it asked for. `agent` is the path's.
    `id` is this handshake's alone, and cannot be guessed. With `redeems` false the request asks
    who the credential is for, and uses no ticket up.
    """

    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    path: str
    agent: str | None
    origin: str | None
    address: str
    scheme: str
    host: str
    redeems: bool = True
    id: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @classmethod
    def read(
        cls,
        headers: Mapping[str, str],
        query: bytes,
        *,
        path: str,
        agent: str | None,
        peer: Peer,
        redeems: bool = True,
    ) -> ConnectRequest:
        """Read headers as `read_headers` gives them, and a query; a field's first value counts."""
        return cls(
            headers=headers,
            query=_fields(query),
            path=path,
            agent=agent,
            origin=headers.get("origin"),
            address=peer.address,
            scheme=peer.scheme,
            host=peer.host or headers.get("host", ""),
            redeems=redeems,
        )

    @property
    def is_browser(self) -> bool:
        """Tell whether a browser asks: it sends an Origin (RFC 6455 §4.1)."""
        return self.origin is not None

    @property
    def subprotocols(self) -> tuple[str, ...]:
        """The offered subprotocols; one of them may hold a credential."""
        offered = self.headers.get("sec-websocket-protocol")
        if offered is None:
            return ()
        return tuple(filter(None, (name.strip() for name in offered.split(","))))

    @property
    def credential(self) -> Credential | None:
        """The first credential there is: subprotocol, `?ticket=`, `?token=`, `Authorization`."""
        for name in self.subprotocols:
            if name.startswith(BEARER) and len(name) > len(BEARER):
                return Credential(
                    SecretStr(name.removeprefix(BEARER)), CredentialLocation.SUBPROTOCOL
                )
        for field_name in ("ticket", "token"):
            if value := self.query.get(field_name):
                return Credential(SecretStr(value), CredentialLocation.QUERY)
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            return Credential(SecretStr(value.strip()), CredentialLocation.HEADER)
        return None


def read_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Read an ASGI scope's headers: names in lower case, repeated ones joined (RFC 9110 §5.3)."""
    read = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
    joined = dict(read)
    if len(joined) == len(read):
        return joined
    joined.clear()
    for name, value in read:
        separator = "; " if name == "cookie" else ", "
        joined[name] = f"{joined[name]}{separator}{value}" if name in joined else value
    return joined


def _fields(query: bytes) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        return {}
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
