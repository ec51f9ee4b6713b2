"""Signing in and out at the console (OpenID Connect, authorization code flow with PKCE)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from app.auth.sign_in import SignInFailed
from app.protocol.errors import StoreUnavailable
from app.protocol.rate_limit import TokenBucket
from app.web.actor import Actor, actor_of
from app.web.audit import Audit
from app.web.console.cookies import SESSION, SIGN_IN, ConsoleSite
from app.web.console.role_claims import RoleClaims, shown_name
from app.web.console.sessions import BEGUN_FOR, ConsoleSessions

if TYPE_CHECKING:  # not configured, its libraries are not imported
    from app.auth.oidc import OidcProvider

log = structlog.get_logger(__name__)

# Every client may begin a sign-in, and each is kept for ten minutes.
BEGINNINGS_PER_SECOND: Final = 10.0
BEGINNINGS_AT_ONCE: Final = 50
NO_STORE: Final = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


@dataclass(frozen=True, slots=True)
class ConsoleSignIn:
    """What signing in takes."""

    provider: OidcProvider
    sessions: ConsoleSessions
    site: ConsoleSite
    roles: RoleClaims
    audit: Audit

    async def begin(self, request: Request, bucket: TokenBucket) -> Response:
        """Send the browser to the provider."""
        if not bucket.allows(monotonic()):
            return self._back(request, "busy")
        try:
            begun, state, browser = await self.sessions.begin(
                f"{self.site.console(request)}/callback"
            )
            url = await self.provider.authorization_url(begun, state)
        except SignInFailed as failed:
            return self._failed(request, failed.cause)
        except StoreUnavailable:
            return self._back(request, "busy")
        response = RedirectResponse(url, 303, headers=NO_STORE)
        self.site.set(request, response, SIGN_IN, browser, BEGUN_FOR)
        return response

    async def complete(self, request: Request) -> Response:
        """Take the provider's answer, and give the browser a session."""
        query = request.query_params
        try:
            begun = await self.sessions.resume(
                query.get("state", ""), self.site.read(request, SIGN_IN)
            )
            if begun is None:
                return self._failed(request, "wrong_state", shown="expired")
            if "error" in query or not query.get("code"):
                denied = query.get("error") == "access_denied"
                return self._failed(
                    request, "denied" if denied else "provider_error", shown="denied"
                )
            claims, id_token = await self.provider.redeem(
                begun, query["code"], query.get("iss"), wanted=self.roles.claim.partition(".")[0]
            )
            return await self._signed_in(request, claims, id_token)
        except SignInFailed as failed:
            return self._failed(request, failed.cause)
        except StoreUnavailable:
            return self._back(request, "busy")

    async def _signed_in(self, request: Request, claims: dict[str, Any], id_token: str) -> Response:
        name, subject, role = shown_name(claims), claims["sub"], self.roles.role(claims)
        if role is None:
            log.info("console_sign_in_failed", cause="no_role", subject=subject)
            return self._back(request, "role")
        content = role >= self.roles.content
        actor = Actor(name, role, content=content, history=content, subject=subject)
        earlier = self.site.read(request, SESSION)
        if earlier:
            await self.sessions.end(earlier)
        secret = await self.sessions.create(actor, id_token)
        await self.audit.record(actor, "console.sign_in", name, role=role.name.lower())
        response = self._back(request, None)
        self.site.set(request, response, SESSION, secret, self.sessions.life)
        return response

    async def end(self, request: Request) -> Response:
        """Sign out here, and say where to sign out at the provider, if that is possible there."""
        self.site.check(request)
        secret = self.site.read(request, SESSION)
        ended = await self.sessions.end(secret) if secret else None
        url = None
        if ended is not None:
            await self.audit.record(ended.actor, "console.sign_out", ended.actor.name)
            back = self.site.console(request)
            url = await self.provider.sign_out_url(ended.id_token, back)
        response: Response = (
            Response(status_code=204, headers=NO_STORE)
            if url is None
            else JSONResponse({"provider": url}, headers=NO_STORE)
        )
        self.site.delete(request, response, SESSION)
        return response

    async def who(self, request: Request) -> dict[str, Any] | None:
        """Who is signed in; None without a session."""
        secret = self.site.read(request, SESSION)
        actor = await self.sessions.find(secret) if secret else None
        return None if actor is None else shown_actor(actor)

    def _failed(self, request: Request, cause: str, shown: str = "failed") -> Response:
        log.warning("console_sign_in_failed", cause=cause)
        return self._back(request, shown)

    def _back(self, request: Request, fault: str | None) -> Response:
        """Back to the console, which says in words what a `fault` of the fragment means."""
        fragment = "" if fault is None else f"#sign-in={fault}"
        response = RedirectResponse(self.site.console(request) + fragment, 303, headers=NO_STORE)
        self.site.delete(request, response, SIGN_IN)
        return response


def shown_actor(actor: Actor) -> dict[str, Any]:
    """What the console knows of who uses it."""
    return {"name": actor.name, "role": actor.role.name.lower(), "content": actor.content}


def routes(sign_in: ConsoleSignIn | None, tokens: Callable[[Request], None]) -> APIRouter:
    """`/console/sign-in`, `/callback`, `/sign-out` and `/session`."""
    router = APIRouter(include_in_schema=False)
    bucket = TokenBucket(BEGINNINGS_PER_SECOND, BEGINNINGS_AT_ONCE)

    @router.get("/console/session")
    async def session(request: Request, response: Response) -> dict[str, Any]:
        """Say how one signs in here, and who asks, by cookie or token. Raises `Refusal`."""
        response.headers["cache-control"] = "no-store"
        mode = "token" if sign_in is None else "oidc"
        if "authorization" in request.headers:
            tokens(request)
            return {"sign_in": mode, "actor": shown_actor(actor_of(request))}
        return {"sign_in": mode, "actor": None if sign_in is None else await sign_in.who(request)}

    if sign_in is None:
        return router

    @router.get("/console/sign-in")
    async def begin(request: Request) -> Response:
        """Begin to sign in."""
        return await sign_in.begin(request, bucket)

    @router.get("/console/callback")
    async def callback(request: Request) -> Response:
        """Complete a sign-in."""
        return await sign_in.complete(request)

    @router.post("/console/sign-out")
    async def sign_out(request: Request) -> Response:
        """Sign out."""
        return await sign_in.end(request)

    return router
