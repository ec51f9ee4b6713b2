"""The console's cookies, and what a request by cookie must show besides (OWASP, CSRF)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from app.auth.origin import AllowedOrigins, normal_origin
from app.auth.proxies import TrustedProxies
from app.auth.sign_in import SESSION_COOKIE, SIGN_IN_COOKIE
from app.protocol.close_codes import FORBIDDEN
from app.protocol.errors import Refusal

HEADER: Final = "x-relay-console"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION: Final = SESSION_COOKIE
SIGN_IN: Final = SIGN_IN_COOKIE
SAME_HOST: Final = AllowedOrigins()


@dataclass(frozen=True, slots=True)
class ConsoleSite:
    """Where browsers find the console. `url` is its address, where an operator has set it."""

    proxies: TrustedProxies
    url: str | None = None

    def console(self, request: Request) -> str:
        """The console's address, as this browser sees it."""
        if self.url is not None:
            return self.url.rstrip("/")
        scheme, host = self._seen(request)
        return f"{scheme}://{host}/console"

    def is_encrypted(self, request: Request) -> bool:
        """Whether the browser came by HTTPS."""
        return self.console(request).startswith("https:")

    def check(self, request: Request) -> None:
        """Refuse what another site made a browser send with its cookie. Raises `Refusal` (403).

        SameSite keeps the cookie from other sites, but not from other origins of the same site.
        """
        if request.headers.get("sec-fetch-site") == "cross-site":
            raise Refusal(FORBIDDEN, "A request by cookie must come from the console itself.")
        if request.method in SAFE:
            return
        origin = request.headers.get("origin")
        if origin is None or not self._is_own(request, origin) or HEADER not in request.headers:
            raise Refusal(FORBIDDEN, "A request by cookie must come from the console itself.")

    def _is_own(self, request: Request, origin: str) -> bool:
        if self.url is not None:
            parts = urlsplit(self.url)
            return normal_origin(origin) == normal_origin(f"{parts.scheme}://{parts.netloc}")
        return SAME_HOST.allows(origin, self._seen(request)[1])

    def _seen(self, request: Request) -> tuple[str, str]:
        headers = {name.lower(): value for name, value in request.headers.items()}
        address = request.client.host if request.client else ""
        peer = self.proxies.peer(address, request.url.scheme, headers)
        return peer.scheme, peer.host or request.headers.get("host", "")

    # Cookies

    def read(self, request: Request, name: str) -> str:
        """A cookie's value, or an empty text."""
        return request.cookies.get(self._name(request, name), "")

    def set(self, request: Request, response: Response, name: str, value: str, life: float) -> None:
        """Give the browser a cookie that no script reads.

        The session's is sent by the console's own pages alone. That of a sign-in must come along
        when the provider sends the browser back. The prefix `__Host-` (RFC 6265bis §4.1.3.2) keeps
        other hosts of the same domain from setting it.
        """
        response.set_cookie(
            self._name(request, name),
            value,
            max_age=ceil(life),
            path="/",
            secure=self.is_encrypted(request),
            httponly=True,
            samesite="strict" if name == SESSION else "lax",
        )

    def delete(self, request: Request, response: Response, name: str) -> None:
        """Take a cookie away."""
        self.set(request, response, name, "", 0)

    def _name(self, request: Request, name: str) -> str:
        return f"__Host-{name}" if self.is_encrypted(request) else name
