"""What a sign-in by OpenID Connect sends and expects; without the libraries that carry it out."""

from __future__ import annotations

from dataclasses import dataclass

from app.protocol.errors import RelayError


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
