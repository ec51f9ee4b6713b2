"""One POST of one message, signed by Standard Webhooks; 2xx alone is success."""

from __future__ import annotations

import asyncio
import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import httpx
from standardwebhooks import Webhook

from app.protocol.errors import ConfigurationError, RelayError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import SecretStr

PREFIX: Final = "whsec_"
SHORTEST_SECRET: Final = 16
"""Bytes; a shorter key could be guessed."""


class Sender:
    """Posts messages to one URL.

    `http` follows no redirect here, whatever it does elsewhere, and refuses by itself the
    addresses that it may not reach. `clock` is in Unix seconds. A secret is base64, with or
    without `whsec_` before it; raises `ConfigurationError` for any other. With several secrets
    each signs, so that a receiver may change from one to the next at any time (Standard Webhooks,
    "Multiple signatures"): the signatures are separated by spaces in one header.
    """

    def __init__(
        self,
        url: SecretStr,
        secrets: SecretStr | Sequence[SecretStr],
        http: httpx.AsyncClient,
        clock: Callable[[], float],
        *,
        timeout: float = 15.0,
    ) -> None:
        self._url = url
        given = secrets if isinstance(secrets, tuple | list) else (secrets,)
        self._signers = tuple(Webhook(_key(secret)) for secret in given)
        self._http = http
        self._clock = clock
        self.timeout = timeout

    def __repr__(self) -> str:
        return "Sender()"

    async def send(self, message_id: str, body: bytes, deadline: float) -> str | None:
        """Post once. Returns None when it was taken, else a word for what went wrong.

        `deadline` is in Unix seconds; nothing is sent at or after it.
        """
        now = self._clock()
        left = min(self.timeout, deadline - now)
        if left <= 0:
            return "too_late"
        moment = datetime.fromtimestamp(now, UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": "blackbox-relay",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": " ".join(
                signer.sign(message_id, moment, body.decode()) for signer in self._signers
            ),
        }
        try:
            async with asyncio.timeout(left):
                return await self._post(body, headers)
        except TimeoutError:
            return "timeout"
        except (httpx.HTTPError, httpx.InvalidURL, RelayError, OSError) as error:
            return type(error).__name__

    async def _post(self, body: bytes, headers: dict[str, str]) -> str | None:
        request = self._http.stream(
            "POST",
            self._url.get_secret_value(),
            content=body,
            headers=headers,
            timeout=self.timeout,
            follow_redirects=False,
        )
        # The answer's body is never read: it says nothing that is needed, and may have no end.
        async with request as answer:
            return None if answer.is_success else f"status_{answer.status_code}"


def signing_key(secret: SecretStr) -> bytes | None:
    """Decode a secret of Standard Webhooks; None if it is no base64, or too short."""
    plain = secret.get_secret_value().removeprefix(PREFIX)
    try:
        key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) >= SHORTEST_SECRET else None


def _key(secret: SecretStr) -> bytes:
    key = signing_key(secret)
    if key is None:
        raise ConfigurationError(
            ["RELAY_RESULT_WEBHOOK_SECRET must be base64 of 16 bytes or more (`whsec_…`)"]
        )
    return key
