"""Encryption of waiting messages, for a database that may not hold what was said.

With contents left out of history, a waiting message is kept encrypted (AES-256-GCM) under a key
that only the webhook's secret yields, until it is delivered or given up.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from pydantic import SecretStr

_NONCE: Final = 12
_PURPOSE: Final = b"blackbox-relay waiting results"


class PayloadCipher:
    """Encrypts and decrypts bodies; every replica with the same secret decrypts the same.

    Of several secrets the first encrypts, and each decrypts: a secret that is being replaced
    stands behind its successor until nothing is encrypted under it any more.
    """

    __slots__ = ("_ciphers",)

    def __init__(self, *secrets_known: SecretStr) -> None:
        plain = (secret.get_secret_value().encode() for secret in secrets_known)
        self._ciphers = tuple(
            AESGCM(hmac.new(each, _PURPOSE, hashlib.sha256).digest()) for each in plain
        )

    def encrypt(self, body: bytes, message_id: str) -> bytes:
        """Encrypt a body, bound to its message's id."""
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._ciphers[0].encrypt(nonce, body, message_id.encode())

    def decrypt(self, sealed: bytes, message_id: str) -> bytes | None:
        """Decrypt a body; None when the secret has changed since."""
        for cipher in self._ciphers:
            with suppress(InvalidTag, ValueError):
                return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], message_id.encode())
        return None
