"""Web integration tokens: created by REST with the API key, refreshed in time, deleted at the end.

`POST /api/v1/web-integrations/{id}/tokens` with a unique name, a duplicate gets 409 (D L). Whether
a token can be deleted is not documented (?): it is tried, and every token expires by itself.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import structlog
from pydantic import SecretStr

from app.backoff import Backoff
from app.egress import FAILURES, AnswerRefused, cause_of, json_of, read_bounded
from app.protocol.close_codes import UPSTREAM_FAILED
from app.protocol.errors import RelayError, UpstreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

log = structlog.get_logger(__name__)

LIFE: Final = 3600.0
TIMEOUT: Final = 10.0
MAX_ANSWER: Final = 64 << 10
BACKOFF: Final = Backoff(first=1.0, longest=30.0)
CREATED: Final = frozenset({200, 201})
CONFLICT: Final = 409


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was minted; `expires_at` is in Unix seconds."""

    id: str
    secret: SecretStr
    expires_at: float


class TokenRequestFailed(RelayError):  # noqa: N818 - caught in this module
    """No token was minted; the message is a closed word for logs."""


class RefreshingToken:
    """The token of one web integration. `run` must be running.

    `base` is the vendor's `https://host`, `wait` how long (seconds) a dial waits for a first token,
    `life` how long (seconds) a token is asked to live: it is renewed at half of that.
    """

    def __init__(
        self,
        base: str,
        integration: str,
        api_key: SecretStr,
        client: httpx.AsyncClient,
        *,
        wait: float = TIMEOUT,
        life: float = LIFE,
        clock: Callable[[], float] = time,
    ) -> None:
        self._url = f"{base}/api/v1/web-integrations/{quote(integration, safe='')}/tokens"
        self._headers = {"authorization": f"Bearer {api_key.get_secret_value()}"}
        self._client = client
        self._wait = wait
        self._life = life
        self._clock = clock
        self._minted: Token | None = None
        self._there = asyncio.Event()

    def __repr__(self) -> str:
        return "MintedCredential()"

    async def current(self) -> SecretStr:
        """The token to dial with now; the first one is waited for. Raises `UpstreamError`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._wait):
                await self._there.wait()
        if self._minted is None or self._minted.expires_at <= self._clock():
            raise UpstreamError(UPSTREAM_FAILED, "no web integration token")
        return self._minted.secret

    async def run(self) -> None:
        """Keep a valid token until cancelled, and delete what is no longer needed."""
        failures = 0
        try:
            while True:
                try:
                    fresh = await self._mint()
                except TokenRequestFailed as failed:
                    failures += 1
                    pause = BACKOFF.after(failures)
                    log.warning("mint_failed", cause=str(failed), retry_in=round(pause, 1))
                    await asyncio.sleep(pause)
                    continue
                failures, old, self._minted = 0, self._minted, fresh
                self._there.set()
                await self._delete(old)
                await asyncio.sleep(max(1.0, (fresh.expires_at - self._clock()) / 2))
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self._delete(self._minted)

    async def _mint(self) -> Token:
        expires_at = self._clock() + self._life
        body = {
            "name": f"blackbox-relay-{secrets.token_hex(12)}",
            "expiresAt": datetime.fromtimestamp(expires_at, UTC).isoformat(timespec="seconds"),
        }
        status, answer = await self._ask("POST", self._url, body)
        if status == CONFLICT:
            raise TokenRequestFailed("name_taken")  # the next attempt has another name
        if status not in CREATED:
            raise TokenRequestFailed(f"status_{status}")
        token, token_id = answer.get("token"), answer.get("tokenId")
        if not isinstance(token, str) or not token:
            raise TokenRequestFailed("no_token_in_answer")
        return Token(str(token_id or ""), SecretStr(token), _expiry(answer, expires_at))

    async def _delete(self, minted: Token | None) -> None:
        """Delete a token that is no longer used; sessions that it opened go on."""
        if minted is None or not minted.id:
            return
        with suppress(TokenRequestFailed):
            await self._ask("DELETE", f"{self._url}/{quote(minted.id, safe='')}", None)

    async def _ask(
        self, method: str, url: str, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._client.stream(method, url, json=body, headers=self._headers) as response,
            ):
                content = await read_bounded(response, MAX_ANSWER)
                status = response.status_code
        except FAILURES as error:
            raise TokenRequestFailed(cause_of(error)) from None
        try:
            answer = json_of(content) if content else {}
        except AnswerRefused:
            answer = {}
        return status, answer if isinstance(answer, dict) else {}


def _expiry(answer: dict[str, Any], asked: float) -> float:
    """When the vendor says that a token expires; what was asked for where it says nothing."""
    said = answer.get("expiresAt")
    if isinstance(said, str):
        with suppress(ValueError):
            found = datetime.fromisoformat(said)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return asked
