"""Encryption of waiting results, for a database that may not hold what was said.

With contents left out of history, a waiting result is kept encrypted (AES-256-GCM) under a key
that only the webhook's secret yields, until it is delivered or given up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from pydantic import SecretStr

_NONCE: Final = 12
_PURPOSE: Final = b"blackbox-relay waiting results"


class PayloadCipher:
    """Encrypts and decrypts bodies; every replica with the same secret decrypts the same."""

    __slots__ = ("_cipher",)

    def __init__(self, secret: SecretStr) -> None:
        plain = secret.get_secret_value().encode()
        self._cipher = AESGCM(hmac.new(plain, _PURPOSE, hashlib.sha256).digest())

    def encrypt(self, body: bytes, message_id: str) -> bytes:
        """Encrypt a body, bound to its message's id."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, body, message_id.encode())

    def decrypt(self, sealed: bytes, message_id: str) -> bytes | None:
        """Decrypt a body; None when the secret has changed since."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], message_id.encode())
        except (InvalidTag, ValueError):
            return None
