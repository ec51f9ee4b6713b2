"""JSON Web Tokens of the usual shape, verified by PyJWT's algorithms without its detours.

PyJWT looks at every character of a token in Python, asks of a secret with every token whether it
might be a public key, and reads the header twice: four fifths of its time. What is accepted here
is a part of what it accepts. All else is left to PyJWT, and so every refusal is its own.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any, Final

import jwt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jwt.algorithms import Algorithm

_COMPACT: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_PARAMETERS: Final = frozenset(("alg", "typ", "kid"))
_FAR: Final = 2**53


@dataclass(frozen=True, slots=True)
class Usual:
    """What tokens are held to: `leeway` is in seconds; no audience or issuer is anyone's."""

    audience: tuple[str, ...]
    issuer: str | None
    leeway: float

    def claims(
        self, token: str, header: Mapping[str, Any], algorithm: Algorithm, key: Any
    ) -> dict[str, Any] | None:
        """Return the verified claims, or None for PyJWT to judge.

        `header` is the token's own, `key` what `algorithm` prepared, and long enough for it.
        """
        try:
            found = _COMPACT.fullmatch(token.encode())
            if found is None or not header.keys() <= _PARAMETERS or not _is_text(header, "kid"):
                return None
            head, payload, signature = (_decoded(part) for part in found.groups())
            if head is None or payload is None or signature is None:
                return None
            signed = found.string[: found.end(2)]
            if not algorithm.verify(signed, key, signature):
                return None
            claims = json.loads(payload)
        # Whatever keeps it from being verified here, PyJWT will find and name.
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return claims if isinstance(claims, dict) and self._hold(claims) else None

    def _hold(self, claims: dict[str, Any]) -> bool:
        """Tell whether claims are as they usually are, and true now."""
        now = time()
        expires = _moment(claims.get("exp"))
        if expires is None or expires <= now - self.leeway:
            return False
        for name in ("iat", "nbf"):
            if name in claims:
                since = _moment(claims[name])
                if since is None or since > now + self.leeway:
                    return False
        if not isinstance(claims.get("sub"), str) or not _is_text(claims, "jti"):
            return False
        if self.issuer is not None and claims.get("iss") != self.issuer:
            return False
        return not self.audience or claims.get("aud") in self.audience


def _moment(value: object) -> int | None:
    """Read a NumericDate (RFC 7519 §2) as PyJWT does, if it is a number, and not too far off."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if -_FAR < value < _FAR else None


def _is_text(mapping: Mapping[str, Any], name: str) -> bool:
    return name not in mapping or isinstance(mapping[name], str)


def _decoded(part: bytes) -> bytes | None:
    """Decode base64url without padding, written the one way that it can be (RFC 4648 §3.5)."""
    standard = part.translate(_STANDARD)
    decoded = a2b_base64(standard + b"==")
    return decoded if b2a_base64(decoded, newline=False).rstrip(b"=") == standard else None
