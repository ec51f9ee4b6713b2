"""Signing keys at a URL (RFC 7517): fetched, kept, and asked for again with restraint."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import jwt
import structlog

from app.egress import FAILURES, cause_of, json_of, read_bounded
from app.protocol.close_codes import OVERLOADED
from app.protocol.errors import Refusal, RelayError

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

log = structlog.get_logger(__name__)

MAX_BODY: Final = 256 * 1024
MAX_KEYS: Final = 100
INTERVAL: Final = 30.0
FRESH: Final = 300.0
TIMEOUT: Final = 5.0
UNDECIDED: Final = "The credential cannot be verified at this moment. Please try again soon."
MAX_TRIED: Final = 16
"""Keys without an id that one token is tried with: verifying with each of them takes time."""

Keys = dict[tuple[str | None, str], list[jwt.PyJWK]]
Claims = dict[str, Any]
Ignored = tuple[tuple[int, str], ...]

SYMMETRIC: Final = frozenset({"HS256", "HS384", "HS512"})
ASYMMETRIC: Final = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "ES256K", "EdDSA"),
    }
)


class _Unusable(RelayError):  # noqa: N818 - what an answer is, always caught here
    """An answer holds no keys; its text is the cause, a word for logs."""


class Jwks:
    """The keys at one URL.

    They are fetched when they are older than five minutes or no key fits a token, and never more
    often than every 30 s, failures included: tokens with made-up key ids cannot drive it. A token
    that no key fits is final only when a fetch that began after it came did not bring its key:
    until then that is unknown, as keys may have been rotated. While the URL is down the old keys
    stay good. Callers that come during a fetch wait for it.
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
        self._ignored: Ignored = ()
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching: asyncio.Future[None] | None = None

    async def verified(
        self, algorithm: str, kid: str | None, verify: Callable[[jwt.PyJWK], Claims]
    ) -> Claims:
        """Return what `verify` makes of a token by the key that its header leads to.

        `verify` raises jwt.InvalidSignatureError where a key is not the one. Raises that where a
        key that the token names is not the one, jwt.InvalidKeyError where no key is, and
        Refusal(OVERLOADED) while that is not known; what else `verify` raises is passed on.
        """
        is_known = self._clock() - self._fetched_at >= FRESH and await self._refresh()
        with suppress(jwt.InvalidKeyError):
            return self._tried(algorithm, kid, verify)
        if not is_known:
            is_known = await self._refresh()
            with suppress(jwt.InvalidKeyError):
                return self._tried(algorithm, kid, verify)
        if is_known:
            raise jwt.InvalidKeyError
        raise self._undecided()

    def _tried(
        self, algorithm: str, kid: str | None, verify: Callable[[jwt.PyJWK], Claims]
    ) -> Claims:
        """Verify by the keys there are; raises jwt.InvalidKeyError where another one may fit."""
        if kid is not None and (named := self._keys.get((kid, algorithm))):
            return _first_that_fits(named, verify)
        # RFC 7515 §4.1.4: the id is optional in both places. Any key without one may be the
        # token's; one with an id is that of a token without only where there is no other.
        candidates = self._keys.get((None, algorithm), [])
        if not candidates and kid is None:
            sets = [keys for (_, name), keys in self._keys.items() if name == algorithm]
            candidates = sets[0] if len(sets) == 1 else []
        with suppress(jwt.InvalidSignatureError):
            return _first_that_fits(candidates, verify)
        raise jwt.InvalidKeyError

    def _undecided(self) -> Refusal:
        left = max(1.0, INTERVAL - (self._clock() - self._tried_at))
        if self._keys:
            log.info("jwt_undecided", cause="unknown_key", retry_in=round(left, 1))
        return Refusal(OVERLOADED, UNDECIDED, retry_after=left)

    async def _refresh(self) -> bool:
        """Fetch, or wait for the fetch under way; tell whether one that began now succeeded."""
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
            return False
        if self._clock() - self._tried_at < INTERVAL:
            return False
        self._tried_at = self._clock()
        self._fetching = asyncio.get_running_loop().create_future()
        try:
            self._keys = await self._fetch()
            self._fetched_at = self._clock()
        except _Unusable as error:
            log.warning("jwks_fetch_failed", cause=str(error), kept=len(self._keys))
            return False
        except FAILURES as error:
            log.warning("jwks_fetch_failed", cause=cause_of(error), kept=len(self._keys))
            return False
        finally:
            self._fetching.set_result(None)
            self._fetching = None
        return True

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
        found, ignored = _keys(json_of(body), self._algorithms)
        if ignored != self._ignored:
            self._ignored = ignored
            for position, cause in ignored:
                log.warning("jwks_key_ignored", position=position, cause=cause)
        if not found:
            raise _Unusable("no_usable_key")
        return found


def _first_that_fits(keys: list[jwt.PyJWK], verify: Callable[[jwt.PyJWK], Claims]) -> Claims:
    for key in keys[:MAX_TRIED]:
        with suppress(jwt.InvalidSignatureError):
            return verify(key)
    raise jwt.InvalidSignatureError


def _keys(answer: Any, algorithms: frozenset[str]) -> tuple[Keys, Ignored]:
    """Read a key set (RFC 7517 §5): its keys, and the places of those that cannot be used, and why.

    Keys for encryption are left out without a word: many issuers publish one.
    """
    written = answer.get("keys") if isinstance(answer, dict) else None
    if not isinstance(written, list):
        raise _Unusable("not_a_key_set")
    found: Keys = {}
    ignored: list[tuple[int, str]] = []
    for position, entry in enumerate(written[:MAX_KEYS]):
        if isinstance(entry, dict) and entry.get("use") == "enc":
            continue
        try:
            usable = _usable(entry, algorithms)
        except ValueError as cause:
            ignored.append((position, str(cause)))
            continue
        for name, key in usable:
            found.setdefault((entry.get("kid"), name), []).append(key)
    if len(written) > MAX_KEYS:
        ignored.append((MAX_KEYS, "too_many_keys"))
    return found, tuple(ignored)


def _usable(entry: Any, algorithms: frozenset[str]) -> list[tuple[str, jwt.PyJWK]]:
    """Return a key for each algorithm that it is good for; raises ValueError with the cause."""
    if not isinstance(entry, dict):
        raise ValueError("not_an_object")  # noqa: TRY004 - as all that is wrong with an entry
    if entry.get("kty") == "oct":
        raise ValueError("symmetric_key")
    if not isinstance(entry.get("kid"), str | None):
        raise ValueError("kid_is_no_text")  # noqa: TRY004
    own = entry.get("alg")
    wanted = algorithms if own is None else algorithms & {own} if isinstance(own, str) else set()
    if not wanted:
        raise ValueError("algorithm_not_allowed")
    usable: list[tuple[str, jwt.PyJWK]] = []
    for name in wanted:
        with suppress(jwt.PyJWTError, ValueError, TypeError, AttributeError):
            usable.append((name, jwt.PyJWK(entry, name)))
    if not usable:
        raise ValueError("unreadable_key")
    return usable
