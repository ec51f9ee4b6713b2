"""What a sign-in by OpenID Connect sends and expects; without the libraries that carry it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.protocol.errors import RelayError

SESSION_COOKIE: Final = "relay-console"
SIGN_IN_COOKIE: Final = "relay-console-sign-in"
COOKIE_NAMES: Final = frozenset(
    prefix + name for prefix in ("", "__Host-") for name in (SESSION_COOKIE, SIGN_IN_COOKIE)
)
"""The console's cookies; over HTTPS with the prefix of RFC 6265bis §4.1.3.2."""


def without_own_cookies(header: str) -> str:
    """A Cookie header without the console's: no other application is to see those."""
    pairs = (pair.strip() for pair in header.split(";"))
    return "; ".join(pair for pair in pairs if pair.partition("=")[0] not in COOKIE_NAMES)


class SignInFailed(RelayError):  # noqa: N818 - what happened, as in the error tree
    """A sign-in cannot be completed. `cause` is a word for logs, from a closed set."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class SignInRequest:
    """What one sign-in sends and must find again (OIDC Core §3.1.2.1, RFC 7636 §4)."""

    redirect_uri: str
    nonce: str
    verifier: str
