"""The sessions of people who have signed in: in the shared store, so that any replica knows them.

A cookie holds a random secret, the store its hash. A session ends by signing out, by its bounded
life, by revoking the person's `credential_id`, and with the store's data.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import Any, Final

import orjson

from app.auth.sign_in import SignInRequest
from app.state.interface import State
from app.web.actor import Actor, Role

BEGUN_FOR: Final = 600.0
"""Seconds that a person may take to sign in at the provider."""

SECRET_LENGTH: Final = 43

MAX_ID_TOKEN: Final = 4096
"""Bytes; a larger ID token is not kept: the provider then asks before it signs a person out."""


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that was ended: whose it was, and the ID token of its sign-in, if that was kept."""

    actor: Actor
    id_token: str


@dataclass(frozen=True, slots=True)
class ConsoleSessions:
    """`life` is how long a session lasts, in seconds; nothing renews it but a new sign-in."""

    state: State
    life: float
    clock: Callable[[], float] = time

    async def begin(self, redirect_uri: str) -> tuple[SignInRequest, str, str]:
        """Begin a sign-in: the request, its `state`, and the secret that binds it to a browser."""
        request = SignInRequest(redirect_uri, secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        state, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        kept = {
            "redirect_uri": redirect_uri,
            "nonce": request.nonce,
            "verifier": request.verifier,
            "browser": _hash(browser),
        }
        await self.state.records.put_sign_in(_key("begun", state), orjson.dumps(kept), BEGUN_FOR)
        return request, state, browser

    async def resume(self, state: str, browser: str) -> SignInRequest | None:
        """The sign-in that this browser has begun, once; None for any other."""
        if not (_is_secret(state) and _is_secret(browser)):
            return None
        payload = await self.state.records.take_sign_in(_key("begun", state))
        if payload is None:
            return None
        kept = orjson.loads(payload)
        if not secrets.compare_digest(kept["browser"], _hash(browser)):
            return None
        return SignInRequest(kept["redirect_uri"], kept["nonce"], kept["verifier"])

    async def create(self, actor: Actor, id_token: str) -> str:
        """Open a session; returns the secret of its cookie.

        The ID token goes back to the provider when the person signs out. It opens nothing here: a
        sign-in takes one only with its own nonce.
        """
        secret = secrets.token_urlsafe(32)
        kept = {
            "name": actor.name,
            "role": int(actor.role),
            "content": actor.content,
            "subject": actor.subject,
            "expires_at": self.clock() + self.life,
            "id_token": id_token if len(id_token) <= MAX_ID_TOKEN else "",
        }
        await self.state.records.put_sign_in(_key("session", secret), orjson.dumps(kept), self.life)
        return secret

    async def find(self, secret: str) -> Actor | None:
        """Who has this session; None once it is over. Raises `StoreUnavailable`."""
        if not _is_secret(secret):
            return None
        payload = await self.state.records.find_sign_in(_key("session", secret))
        return None if payload is None else await self._actor(orjson.loads(payload))

    async def end(self, secret: str) -> EndedSession | None:
        """End a session; None if there is none any more."""
        if not _is_secret(secret):
            return None
        payload = await self.state.records.take_sign_in(_key("session", secret))
        if payload is None:
            return None
        kept = orjson.loads(payload)
        actor = await self._actor(kept)
        # A replica of an earlier release has kept no token.
        return None if actor is None else EndedSession(actor, kept.get("id_token", ""))

    async def _actor(self, kept: dict[str, Any]) -> Actor | None:
        subject = kept["subject"]
        if kept["expires_at"] <= self.clock():
            return None
        credential = credential_id(subject)
        if await self.state.revoked([credential]):
            return None
        content = bool(kept["content"])
        return Actor(
            kept["name"], Role(kept["role"]), content=content, history=content, subject=subject
        )


def credential_id(subject: str) -> str:
    """What `POST /v1/revocations` takes to end all sessions of one person."""
    return f"console:{subject}"


def _key(kind: str, secret: str) -> str:
    return f"{kind}:{_hash(secret)}"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _is_secret(text: str) -> bool:
    return len(text) == SECRET_LENGTH and text.isascii()
