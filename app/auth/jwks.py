"""Signing keys at a URL (RFC 7517): fetched, kept, and asked for again with restraint."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import jwt
import structlog

from app.auth.jwt import ASYMMETRIC
from app.egress import FAILURES, cause_of, json_of, read_bounded
from app.errors import Refusal
from app.protocol.closing import OVERLOADED

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

log = structlog.get_logger(__name__)

MAX_BODY: Final = 256 * 1024
MAX_KEYS: Final = 100
INTERVAL: Final = 30.0
FRESH: Final = 300.0
TIMEOUT: Final = 5.0

Keys = dict[tuple[str | None, str], jwt.PyJWK]


class _Unusable(Exception):  # noqa: N818 - what an answer is, always caught here
    """An answer holds no keys; its text is the cause, a word for logs."""


class Jwks:
    """The keys at one URL.

    They are fetched when they are older than five minutes or a token names an unknown one, and
    never more often than every 30 s, failures included: tokens with made-up key ids cannot drive
    it. While the URL is down the old keys stay good. Callers that come during a fetch wait for it.
    """

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        algorithms: frozenset[str],
        *,
        clock: Callable[[], float] = time.monotonic,
        timeout: float = TIMEOUT,
    ) -> None:
        self._url = url
        self._client = client
        self._algorithms = algorithms & ASYMMETRIC
        self._clock = clock
        self._timeout = timeout
        self._keys: Keys = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching: asyncio.Future[None] | None = None

    async def key(self, algorithm: str, kid: str | None) -> jwt.PyJWK:
        """Return the key for a token's header.

        Raises jwt.InvalidKeyError if there is none, and Refusal(OVERLOADED) if no keys could be
        fetched yet.
        """
        if self._clock() - self._fetched_at >= FRESH or self._find(algorithm, kid) is None:
            await self._refresh()
        found = self._find(algorithm, kid)
        if found is not None:
            return found
        if not self._keys:
            raise Refusal(OVERLOADED, retry_after=INTERVAL / 6)
        raise jwt.InvalidKeyError

    def _find(self, algorithm: str, kid: str | None) -> jwt.PyJWK | None:
        if kid is not None:
            return self._keys.get((kid, algorithm))
        # A token that names no key is verified by the only one there is (RFC 7515 §4.1.4).
        fitting = [key for (_, name), key in self._keys.items() if name == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    async def _refresh(self) -> None:
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
            return
        if self._clock() - self._tried_at < INTERVAL:
            return
        self._tried_at = self._clock()
        self._fetching = asyncio.get_running_loop().create_future()
        try:
            self._keys = await self._fetch()
            self._fetched_at = self._clock()
        except _Unusable as error:
            log.warning("jwks_fetch_failed", cause=str(error), kept=len(self._keys))
        except FAILURES as error:
            log.warning("jwks_fetch_failed", cause=cause_of(error), kept=len(self._keys))
        finally:
            self._fetching.set_result(None)
            self._fetching = None

    async def _fetch(self) -> Keys:
        async with (
            asyncio.timeout(self._timeout),
            self._client.stream(
                "GET", self._url, headers={"accept": "application/json"}
            ) as response,
        ):
            if not response.is_success:
                raise _Unusable(f"http_{response.status_code // 100}xx")
            body = await read_bounded(response, MAX_BODY)
        found = _keys(json_of(body), self._algorithms)
        if not found:
            raise _Unusable("no_usable_key")
        return found


def _keys(answer: Any, algorithms: frozenset[str]) -> Keys:
    """Read a key set; symmetric keys, keys for encryption and unreadable ones are left out."""
    written = answer.get("keys") if isinstance(answer, dict) else None
    if not isinstance(written, list):
        raise _Unusable("not_a_key_set")
    found: Keys = {}
    for entry in written[:MAX_KEYS]:
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use") == "enc":
            continue
        kid, own = entry.get("kid"), entry.get("alg")
        if not isinstance(kid, str | None):
            continue
        for algorithm in algorithms if own is None else algorithms & {own}:
            try:
                found.setdefault((kid, algorithm), jwt.PyJWK(entry, algorithm))
            except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
                continue
    return found
