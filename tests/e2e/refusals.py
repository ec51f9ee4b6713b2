"""Coming in, and being refused: what a browser is told, and what is told of it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import pytest
from websockets.exceptions import InvalidStatus

from tests.e2e.conftest import JWT_SECRET
from tests.support.browser import Browser, browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Gateway

ORIGIN = "https://app.example.com"
ISSUER = "https://app.example.com"


def token(gateway: Gateway, key: str = JWT_SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A JWT by the shared secret; the gateway's log is searched for it."""
    given = {"sub": uuid4().hex, "exp": time.time() + 60, "iss": ISSUER} | claims
    signed = jwt.encode({k: v for k, v in given.items() if v is not None}, key, algorithm)
    gateway.secrets[f"JWT {len(gateway.secrets)}"] = signed
    return signed


async def refused_by_status(url: str, **options: Any) -> dict[str, Any]:
    """Connect as a client that is no browser; return the problem and its headers."""
    with pytest.raises(InvalidStatus) as refused:
        async with browser(url, **options):
            pass
    response = refused.value.response
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = json.loads(response.body or b"")
    assert problem["status"] == response.status_code
    return problem | {"headers": response.headers}


async def refused(gateway: Gateway, path: str, code: int, **options: Any) -> dict[str, Any]:
    """Hold that a browser is refused by frame and code, with one line and one count."""
    before = await refusals(gateway)
    lines = len(gateway.lines("browser_refused"))
    async with browser(gateway.ws + path, origin=ORIGIN, **options) as page:
        error, closed = await page.refused()
    assert closed == error["code"] == code
    assert error["sessionId"] is None
    assert len(page.frames) == 1
    await until(lambda: len(gateway.lines("browser_refused")) == lines + 1)
    assert gateway.lines("browser_refused")[-1]["code"] == code
    assert await refusals(gateway) == before + 1
    return error


async def refusals(gateway: Gateway) -> float:
    async with gateway.api() as backend:
        text = (await backend.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("relay_refusals_total{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


async def subject(gateway: Gateway, session: str) -> str:
    await until(lambda: gateway.lines("session_started", session=session))
    said: str = gateway.lines("session_started", session=session)[0]["subject"]
    return said


async def leave(page: Browser) -> None:
    assert await page.terminate() == 1000
