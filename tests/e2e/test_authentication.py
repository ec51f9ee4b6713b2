"""JWTs and forward authentication: who is let in, and what the others are told."""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import pytest

from tests.e2e.refusals import ISSUER, ORIGIN, leave, refused, refused_by_status, subject, token
from tests.support.browser import browser
from tests.support.outside import COOKIE
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway
    from tests.support.outside import Outside

pytestmark = pytest.mark.asyncio(loop_scope="package")


HEAD = b'{"alg":"HS256"}'


async def test_jwt_by_the_shared_secret_is_who_it_says(strict: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    bearer = token(
        strict, sub="jwt-user", agent="echo", call_type="chat", additionalData={"marker": marker}
    )
    async with browser(f"{strict.ws}/ws", origin=ORIGIN, bearer=bearer) as page:
        session = await page.connected()
        assert page.frames[0]["data"]["agent"] == "echo"
        await leave(page)
    assert await subject(strict, session) == "jwt-user"
    await vendor.conversation(marker)


@pytest.mark.parametrize("kid", ["a", None])
async def test_jwt_by_a_published_key_is_verified(
    strict: Gateway, outside: Outside, kid: str | None
) -> None:
    bearer = outside.signed(kid, sub="published", iss=ISSUER)
    async with browser(f"{strict.ws}/ws/echo?call_type=chat", origin=ORIGIN, bearer=bearer) as page:
        session = await page.connected()
        await leave(page)
    assert await subject(strict, session) == "published"


async def test_unknown_key_asks_for_the_published_ones_at_most_once(
    strict: Gateway, outside: Outside
) -> None:
    async with browser(
        f"{strict.ws}/ws/echo?call_type=chat",
        origin=ORIGIN,
        bearer=outside.signed("a", iss=ISSUER),
    ) as page:
        await page.connected()
        await leave(page)
    asked = outside.key_sets_asked
    finally_refused = 0
    for number in range(5):
        bearer = outside.signed(f"unknown-{number}", iss=ISSUER)
        async with browser(f"{strict.ws}/ws/echo", origin=ORIGIN, bearer=bearer) as page:
            error, closed = await page.refused()
        if closed == 4401:
            finally_refused += 1
            continue
        # Nobody can tell before the next fetch: the key may be a new one.
        assert (closed, error["retry"]) == (4503, "reconnect")
        assert 1 <= error["retryAfter"] <= 30
    # Final for the one alone whose coming had the keys fetched, if any had.
    assert outside.key_sets_asked == asked + finally_refused
    assert finally_refused <= 1


def unsigned(**claims: Any) -> str:
    return jwt.encode({"sub": "u", "exp": time.time() + 60, "iss": ISSUER, **claims}, "", "none")


async def test_bad_jwt_is_refused(strict: Gateway, outside: Outside) -> None:
    good = token(strict)
    head, body, signature = good.split(".")
    bad = {
        "alg none": unsigned(),
        "alg none in capitals": unsigned().replace(
            unsigned().split(".")[0], "eyJhbGciOiJOT05FIiwidHlwIjoiSldUIn0"
        ),
        "another algorithm": token(strict, algorithm="HS512"),
        "public key as secret": confused(outside.public_key),
        "another secret": token(strict, key="another-secret-of-thirty-two-bytes-or-more"),
        "expired": token(strict, exp=time.time() - 60),
        "never expires": token(strict, exp=None),
        "not yet": token(strict, nbf=time.time() + 60),
        "nobody": token(strict, sub=None),
        "another issuer": token(strict, iss="https://evil.example"),
        "no signature": f"{head}.{body}.",
        "half a signature": f"{head}.{body}.{signature[:20]}",
        "no JSON": "e30.e30.e30",
        "unfit claim": token(strict, call_type="fax"),
        "exp beyond all": token(strict, exp=1e300),
    }
    for name, bearer in bad.items():
        error = await refused(strict, "/ws/echo", 4401, bearer=bearer)
        assert bearer not in json.dumps(error), name
    problem = await refused_by_status(
        f"{strict.ws}/ws/echo", additional_headers={"authorization": f"Bearer {bad['expired']}"}
    )
    assert (problem["status"], problem["code"]) == (401, 4401)
    assert problem["headers"]["www-authenticate"] == "Bearer"


def confused(public_key: str) -> str:
    """HS256 with the published key's PEM as the secret, which the library would not sign."""

    def part(value: bytes) -> str:
        return urlsafe_b64encode(value).rstrip(b"=").decode()

    claims = {"sub": "u", "exp": time.time() + 60, "iss": ISSUER}
    text = f"{part(HEAD)}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(hmac.digest(public_key.encode(), text.encode(), 'sha256'))}"


async def test_jwt_in_a_url_is_refused(strict: Gateway) -> None:
    for parameter in ("ticket", "token"):
        error = await refused(strict, f"/ws/echo?{parameter}={token(strict)}", 4401)
        assert "URL" in error["message"]


async def test_jwt_that_expires_ends_its_conversation(strict: Gateway) -> None:
    bearer = token(strict, exp=int(time.time()) + 2)
    url = f"{strict.ws}/ws/echo?call_type=chat"
    async with browser(url, origin=ORIGIN, bearer=bearer) as page:
        session = await page.connected()
        error, code = await page.refused()
        over = time.time()
    assert code == error["code"] == 4401
    assert error["sessionId"] == session
    claims = jwt.decode(bearer, options={"verify_signature": False})
    assert claims["exp"] - 1 <= over < claims["exp"] + 5
    await until(lambda: strict.lines("session_ended", session=session, code=4401))


# Forward authentication


async def test_application_is_asked_who_its_cookie_is(
    strict: Gateway, vendor: Emulator, outside: Outside
) -> None:
    async with browser(
        f"{strict.ws}/ws/echo?call_type=chat&lang=en",
        origin=ORIGIN,
        additional_headers={"cookie": f"session={COOKIE}"},
    ) as page:
        session = await page.connected()
        await leave(page)
    assert await subject(strict, session) == "cookie-user"
    question = {name.lower(): value for name, value in outside.asked[-1].items()}
    assert question["cookie"] == f"session={COOKIE}"
    assert question["origin"] == ORIGIN
    assert "lang=en" in question["x-forwarded-uri"]
    await vendor.conversation("forwarded")


@pytest.mark.parametrize(
    ("cookie", "code"), [(None, 4401), ("session=banned", 4403), ("session=broken", 4503)]
)
async def test_application_refuses(strict: Gateway, cookie: str | None, code: int) -> None:
    options = {} if cookie is None else {"additional_headers": {"cookie": cookie}}
    error = await refused(strict, "/ws/echo?call_type=chat", code, **options)
    assert ("retryAfter" in error) == (code == 4503)
    problem = await refused_by_status(f"{strict.ws}/ws/echo", **options)
    assert problem["status"] == code - 4000
    assert ("retry-after" in problem["headers"]) == (code == 4503)
