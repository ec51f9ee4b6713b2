"""What is verified without PyJWT's detours is a part of what it accepts, with the same claims."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms
from jwt.warnings import InsecureKeyLengthWarning
from pydantic import SecretStr

from app.auth.connecting import Credential, Place
from app.auth.jwt import Jwt, JwtKeys
from app.auth.usual import Usual
from app.errors import Refusal
from tests.auth.asking import asking

SECRET = "canary-secret-that-is-long-enough-for-hs256"
ANYONES = Usual((), None, 300.0)
OURS = Usual(("relay", "other"), "https://issuer", 300.0)
NOW = int(time.time())
SOUND: dict[str, Any] = {"sub": "customer-7", "exp": NOW + 600}
ALGORITHMS = get_default_algorithms()


def part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def sealed(payload: Any, header: Any = None, *, text: str | None = None) -> str:
    """An HS256 token of whatever content."""
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"} if header is None else header).encode())
    signed = f"{head}.{part((json.dumps(payload) if text is None else text).encode())}"
    return f"{signed}.{part(hmac.digest(SECRET.encode(), signed.encode(), hashlib.sha256))}"


def usual(token: str, held: Usual = ANYONES, header: Any = None) -> dict[str, Any] | None:
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    return held.claims(token, header, ALGORITHMS["HS256"], SECRET.encode())


def by_pyjwt(token: str, held: Usual = ANYONES) -> dict[str, Any] | None:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            SECRET,
            algorithms=["HS256"],
            audience=held.audience or None,
            issuer=held.issuer,
            leeway=held.leeway,
            options={
                "require": ["exp", "sub"],
                "verify_aud": bool(held.audience),
                "verify_iss": held.issuer is not None,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return claims


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"exp": NOW + 600.9},
        {"exp": NOW - 30},
        {"iat": NOW, "nbf": NOW + 30, "jti": "one"},
        {"additional_data": {"big": 2**70, "text": "grüße"}, "iss": 1, "aud": ["any"]},
    ],
    ids=["least", "fraction", "leeway", "all", "data"],
)
def test_a_usual_token_gives_the_claims_that_pyjwt_gives(more: dict[str, Any]) -> None:
    token = sealed({**SOUND, **more})
    assert usual(token) == by_pyjwt(token) == {**SOUND, **more}


ODD: dict[str, dict[str, Any]] = {
    "expired": {"exp": NOW - 600},
    "never": {"exp": None},
    "text": {"exp": str(NOW + 600)},
    "true": {"exp": True},
    "infinite": {"exp": float("inf")},
    "not a number": {"exp": float("nan")},
    "before all": {"exp": float("-inf")},
    "far": {"exp": 10**40},
    "of tomorrow": {"iat": NOW + 6000},
    "not yet": {"nbf": NOW + 6000},
    "from a list": {"nbf": [1]},
    "no instant": {"iat": None},
    "nobody": {"sub": None},
    "numbered": {"sub": 7},
    "jti": {"jti": 7},
    "jti null": {"jti": None},
}


@pytest.mark.parametrize("name", ODD)
def test_claims_that_are_odd_are_left_to_pyjwt(name: str) -> None:
    assert usual(sealed({**SOUND, **ODD[name]})) is None


@pytest.mark.parametrize(
    "more",
    [
        {"iss": "https://issuer", "aud": "relay"},
        {"iss": "https://issuer", "aud": ["relay"]},
        {"iss": "https://issuer", "aud": "else"},
        {"iss": "https://issuer", "aud": None},
        {"iss": "https://issuer"},
        {"iss": "https://other", "aud": "relay"},
        {"iss": ["https://issuer"], "aud": "relay"},
        {"aud": "relay"},
    ],
)
def test_issuer_and_audience_are_never_taken_more_lightly(more: dict[str, Any]) -> None:
    token = sealed({**SOUND, **more})
    found = usual(token, OURS)
    assert found is None or found == by_pyjwt(token, OURS)
    assert (found is not None) == (more == {"iss": "https://issuer", "aud": "relay"})


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "jwk"])
def test_a_header_that_says_more_is_left_to_pyjwt(name: str) -> None:
    header = {"alg": "HS256", name: True}
    assert usual(sealed(SOUND, header), header=header) is None


def test_a_key_id_that_is_no_text_is_left_to_pyjwt() -> None:
    header = {"alg": "HS256", "kid": 7}
    assert usual(sealed(SOUND, header), header=header) is None


@pytest.mark.parametrize("text", ["[]", "7", "", "{", "[" * 100_000, '{"sub":"a","exp":"'])
def test_a_payload_that_is_no_object_is_left_to_pyjwt(text: str) -> None:
    assert usual(sealed(None, text=text)) is None


def test_each_character_of_a_token_counts() -> None:
    token = sealed(SOUND)
    for place in range(len(token)):
        for other in "A-z_.=~ \n":
            changed = token[:place] + other + token[place + 1 :]
            if changed != token:
                assert usual(changed) is None, (place, other)
    for changed in (
        f"{token}=",
        f"{token}\n",
        f" {token}",
        f"{token}.",
        f"{token}.e30",
        token[:-1],
    ):
        assert usual(changed) is None


async def test_a_secret_that_is_short_is_left_to_pyjwt_which_warns() -> None:
    method = Jwt(JwtKeys(secret=SecretStr("canary-short")))
    token = jwt.encode(SOUND, "canary-short" + "-but-not-here" * 2, "HS256")
    with pytest.warns(InsecureKeyLengthWarning), pytest.raises(Refusal):
        await method.authenticate(asking(), Credential(SecretStr(token), Place.HEADER))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_public_keys_verify_what_their_private_keys_signed_alone(algorithm: str) -> None:
    make: Any = {
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }.get(algorithm, lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048))
    key, other = make(), make()
    token = jwt.encode(SOUND, key, algorithm)
    header = {"alg": algorithm, "typ": "JWT"}
    judge = ALGORITHMS[algorithm]
    assert ANYONES.claims(token, header, judge, key.public_key()) == SOUND
    assert ANYONES.claims(token, header, judge, other.public_key()) is None
    short = token[: token.rindex(".") + 5]
    assert ANYONES.claims(short, header, judge, key.public_key()) is None
