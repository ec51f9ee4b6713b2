"""CORS (Fetch standard, "CORS protocol") for the routes that pages on other origins read.

The rule is that of the sockets: `RELAY_ALLOWED_ORIGINS`. What is not allowed gets a 403 and no CORS
header, so that no page of another origin can read anything.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.responses import Response

from app.auth.connect_request import ConnectRequest
from app.auth.origin import AllowedOrigins
from app.web.problems import Problem

MAX_AGE: Final = "600"
HEADER_NAMES: Final = re.compile(r"[A-Za-z0-9_-]+(?:\s*,\s*[A-Za-z0-9_-]+)*")
MAX_HEADER_NAMES: Final = 512


def forbidden() -> Problem:
    """What a page of an origin that is not allowed gets."""
    return Problem(403, "forbidden", "This origin is not allowed.", {"vary": "Origin"})


def headers(origins: AllowedOrigins, request: ConnectRequest) -> dict[str, str]:
    """The headers by which an allowed page may read an answer.

    Cookies, which forward authentication needs, go with them unless any origin is allowed.
    """
    found = {"vary": "Origin"}
    if request.origin is not None:
        found["access-control-allow-origin"] = request.origin
        if not origins.anyone:
            found["access-control-allow-credentials"] = "true"
    return found


def preflight(origins: AllowedOrigins, request: ConnectRequest, methods: str) -> Response:
    """Answer an OPTIONS request, whether a browser's preflight or not."""
    if request.origin is None or "access-control-request-method" not in request.headers:
        return Response(status_code=204, headers={"allow": f"{methods}, HEAD, OPTIONS"})
    if not origins.allows(request.origin, request.host):
        return forbidden()
    allowed = headers(origins, request)
    allowed["vary"] = "Origin, Access-Control-Request-Headers"
    allowed["access-control-allow-methods"] = methods
    allowed["access-control-max-age"] = MAX_AGE
    asked = request.headers.get("access-control-request-headers", "")
    if len(asked) <= MAX_HEADER_NAMES and HEADER_NAMES.fullmatch(asked):
        allowed["access-control-allow-headers"] = asked
    return Response(status_code=204, headers=allowed)
