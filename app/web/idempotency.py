"""`Idempotency-Key`: a request that is sent again, to whatever replica, is carried out once.

After the IETF draft "The Idempotency-Key HTTP Header Field": the key belongs to one request, and
the same key with another request is 422. What was done is answered again for 24 hours; a refusal
did nothing, and is not remembered.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from app.protocol.control import Answer, refused
from blackbox_relay import exact_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import Request

    from app.state.idempotency import Requests
    from app.web.actor import Actor

HEADER: Final = "idempotency-key"
REMEMBERED: Final = 24 * 3600.0
KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
BAD_KEY: Final = refused(
    422,
    "invalid",
    "Idempotency-Key must be 1 to 255 visible ASCII characters.",
    member="Idempotency-Key",
    limit=255,
)
OTHER_REQUEST: Final = refused(
    422,
    "key_reused",
    "This Idempotency-Key came with another request before: use a new key for a new request.",
    member="Idempotency-Key",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to be carried out once. `id` is the same for each of its repetitions."""

    id: str
    key: str | None
    fingerprint: str


class Idempotency:
    """Remembers requests in the shared store."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def attempt(self, request: Request, actor: Actor, body: Any) -> Attempt | Answer:
        """Read a request's key, or refuse it. `body` is what is asked, as JSON values."""
        key = request.headers.get(HEADER)
        if key is None:
            return Attempt(secrets.token_hex(16), None, "")
        if KEY.fullmatch(key) is None:
            return BAD_KEY
        scope = f"{actor.tenant or ''}\n{key}"
        asked = exact_json.dumps([request.method, request.url.path, body])
        return Attempt(_hashed(scope.encode()), scope, _hashed(asked))

    async def once(self, attempt: Attempt, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do the work unless it was done; else answer as before. Raises `StoreUnavailable`."""
        if attempt.key is None:
            return await work()
        begun = orjson.dumps({"asked": attempt.fingerprint})
        kept = await self._requests.claim(attempt.key, begun, REMEMBERED)
        if kept is not None:
            known = orjson.loads(kept)
            if known.get("asked") != attempt.fingerprint:
                return OTHER_REQUEST
            if "status" in known:
                return Answer(known["status"], known["body"])
        # It is new, or its first attempt is under way, or was lost: the owner knows its id.
        answer = await work()
        if not answer.is_refusal:
            done = {
                "asked": attempt.fingerprint,
                "status": answer.status,
                "body": dict(answer.body),
            }
            await self._requests.finish(attempt.key, orjson.dumps(done), REMEMBERED)
        return answer


def _hashed(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()[:32]
