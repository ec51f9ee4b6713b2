"""Where an agent's conversations are opened at the vendor, and with which credential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import SecretStr


class UpstreamCredential(Protocol):
    """What opens an endpoint: the API key, or a web integration's token."""

    async def current(self) -> SecretStr:
        """The credential to dial with now. Raises `UpstreamError` when there is none."""
        ...


@dataclass(frozen=True, slots=True)
class StaticCredential:
    """One that an operator gave."""

    secret: SecretStr

    async def current(self) -> SecretStr:
        """Return it."""
        return self.secret


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one agent's conversations are opened: `base` is the vendor's `wss://host`."""

    base: str
    path: str
    parameter: str
    credential: UpstreamCredential

    async def url(self) -> SecretStr:
        """The URL to dial, the credential in its query."""
        return self.url_with(await self.credential.current())

    def url_with(self, credential: SecretStr) -> SecretStr:
        """The URL to dial with a credential."""
        secret = credential.get_secret_value()
        parts = urlsplit(self.base)
        path = parts.path.rstrip("/") + self.path
        query = f"{self.parameter}={quote(secret, safe='')}"
        return SecretStr(urlunsplit((parts.scheme, parts.netloc, path, query, "")))
