from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pydantic import SecretStr

from app.auth.connect_request import Credential, CredentialLocation
from app.auth.jwks import Jwks
from app.auth.jwt import Jwt, JwtKeys
from app.egress import AllowedHosts, guarded_client
from app.protocol.close_codes import OVERLOADED, UNAUTHENTICATED
from app.protocol.errors import ConfigurationError, Refusal
from app.protocol.principal import CallType, Principal
from tests.auth.asking import asking
from tests.egress.server import Answer, Seen, Server, answer, closed_port, hang, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx

SECRET = "canary-secret-that-is-long-enough-for-hs256"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any) -> str:
    raw: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return raw.decode()


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "customer-7", "exp": int(time.time()) + 600, **more}


def signed(key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **more: Any) -> str:
    headers = None if kid is None else {"kid": kid}
    return jwt.encode(claims(**more), key, algorithm, headers=headers)


def raw(header: Any, payload: Any, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


async def verify(method: Jwt, token: str) -> Principal:
    return await method.authenticate(
        asking(), Credential(SecretStr(token), CredentialLocation.HEADER)
    )


async def refused(method: Jwt, token: str) -> Refusal:
    return (await refused_and_logged(method, token))[0]


async def refused_and_logged(method: Jwt, token: str) -> tuple[Refusal, list[Any]]:
    with structlog.testing.capture_logs() as logs, pytest.raises(Refusal) as caught:
        await verify(method, token)
    assert token not in str(logs)
    assert token not in caught.value.message
    return caught.value, list(logs)


BY_SECRET = JwtKeys(secret=SecretStr(SECRET))


async def test_claims_become_the_principal() -> None:
    until = int(time.time()) + 600
    token = signed(
        exp=until,
        agent="support",
        call_type="webCall",
        endpoint="+4930123",
        additional_data={"plan": "gold"},
        jti="credential-1",
        origin="https://app.example.com",
    )
    assert await verify(Jwt(BY_SECRET), token) == Principal(
        "customer-7",
        "jwt",
        agent="support",
        call_type=CallType.WEB_CALL,
        endpoint="+4930123",
        additional_data={"plan": "gold"},
        origin="https://app.example.com",
        expires_at=until,
        credential_id="credential-1",
    )


async def test_a_token_without_a_jti_is_known_by_its_hash() -> None:
    token = signed()
    principal = await verify(Jwt(BY_SECRET), token)
    signed_part = token.rpartition(".")[0].encode()
    assert principal.credential_id == hashlib.sha256(signed_part).hexdigest()
    assert principal.expires_at is not None


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA_KEY, "RS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")]
)
async def test_a_public_key_verifies_what_its_private_key_signed(key: Any, algorithm: str) -> None:
    method = Jwt(JwtKeys(public_key=pem(key)))
    assert await verify(method, signed(key, algorithm))
    escaped = Jwt(JwtKeys(public_key=pem(key).replace("\n", "\\n")))
    assert await verify(escaped, signed(key, algorithm))


@pytest.mark.parametrize(
    ("key", "algorithm"), [(SECRET, "HS256"), (RSA_KEY, "RS256"), (EC_KEY, "ES256")]
)
async def test_a_token_has_one_text_or_its_revocation_by_hash_would_be_evaded(
    key: Any, algorithm: str
) -> None:
    method = Jwt(BY_SECRET if key is SECRET else JwtKeys(public_key=pem(key)))
    token = signed(key, algorithm)
    assert await verify(method, token)
    head, body, signature = token.split(".")
    others = [f"{token}=", f"{token}==", f"{token}\n", f"{head}.{body}=.{signature}"]
    others += [f"{head}.{body}.{signature[:5]}{odd}{signature[5:]}" for odd in "\n *="]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for spare in range(1, 16 if len(signature) % 4 == 2 else 4):
        last = alphabet[alphabet.index(signature[-1]) + spare]
        assert base64.urlsafe_b64decode(signature[:-1] + last + "==") == base64.urlsafe_b64decode(
            signature + "=="
        )
        others.append(token[:-1] + last)
    for other in others:
        assert (await refused(method, other)).reason is UNAUTHENTICATED, other


async def test_a_second_ecdsa_signature_does_not_evade_the_revocation_of_the_first() -> None:
    method = Jwt(JwtKeys(public_key=pem(EC_KEY)))
    token = signed(EC_KEY, "ES256")
    unsigned, _, signature = token.rpartition(".")
    raw_signature = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    negated = order - int.from_bytes(raw_signature[32:], "big")
    other = raw_signature[:32] + negated.to_bytes(32, "big")
    second = f"{unsigned}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}"
    assert second != token
    assert (await verify(method, second)).credential_id == (
        await verify(method, token)
    ).credential_id


async def test_the_log_names_a_claim_that_is_missing_and_no_claim_otherwise() -> None:
    method = Jwt(BY_SECRET)
    without = jwt.encode({"sub": "customer-7"}, SECRET, "HS256")
    _, [told] = await refused_and_logged(method, without)
    assert (told["cause"], told["claim"]) == ("missing_claim", "exp")
    _, [told] = await refused_and_logged(method, signed("another secret of more than 32 bytes"))
    assert told["cause"] == "signature"
    assert "claim" not in told


ODD_ALGORITHMS: tuple[Any, ...] = ("none", "None", "NONE", "nOnE", "", None, 5, ["HS256"], {})


async def test_alg_none_is_refused_in_every_spelling() -> None:
    for method in (Jwt(BY_SECRET), Jwt(JwtKeys(public_key=pem(RSA_KEY)))):
        for name in ODD_ALGORITHMS:
            assert (await refused(method, raw({"alg": name}, claims()))).reason is UNAUTHENTICATED
        assert (await refused(method, raw({}, claims()))).reason is UNAUTHENTICATED


async def test_a_public_key_is_never_taken_for_a_secret() -> None:
    """The classic confusion: HS256 with the PEM, which everybody knows, as the secret."""
    public = pem(RSA_KEY)
    unsigned = raw({"alg": "HS256", "typ": "JWT"}, claims()).rsplit(".", 1)[0]
    forged = hmac.new(public.encode(), unsigned.encode(), hashlib.sha256).digest()
    token = unsigned + "." + base64.urlsafe_b64encode(forged).rstrip(b"=").decode()
    both = JwtKeys(public_key=public, secret=SecretStr(SECRET))
    for keys in (JwtKeys(public_key=public), both):
        assert (await refused(Jwt(keys), token)).reason is UNAUTHENTICATED
    assert await verify(Jwt(both), signed())
    assert await verify(Jwt(both), signed(RSA_KEY, "RS256"))


async def test_an_algorithm_that_was_not_allowed_is_refused() -> None:
    pinned = Jwt(JwtKeys(public_key=pem(RSA_KEY), algorithms=("RS512",)))
    assert await verify(pinned, signed(RSA_KEY, "RS512"))
    await refused(pinned, signed(RSA_KEY, "RS256"))
    await refused(Jwt(BY_SECRET), signed(algorithm="HS512", key=SECRET * 2))


def nested(deep: int) -> object:
    data: object = 0
    for _ in range(deep):
        data = {"a": data}
    return data


BAD: dict[str, Callable[[], str]] = {
    "forged": lambda: signed("another-secret-that-is-long-enough-for-hs256"),
    "expired": lambda: signed(exp=int(time.time()) - 30),
    "not yet": lambda: signed(nbf=int(time.time()) + 60),
    "no exp": lambda: jwt.encode({"sub": "a"}, SECRET),
    "no sub": lambda: jwt.encode({"exp": int(time.time()) + 60}, SECRET),
    "sub is no text": lambda: signed(sub=7),
    "sub is empty": lambda: signed(sub=""),
    "exp is endless": lambda: signed(exp=float("inf")),
    "exp is no number": lambda: signed(exp=float("nan")),
    "exp is huge": lambda: signed(exp=10**30),
    "call type is unknown": lambda: signed(call_type="fax"),
    "agent is no text": lambda: signed(agent=["a"]),
    "data is no object": lambda: signed(additional_data="x"),
    "data is deep": lambda: signed(additional_data=nested(66)),
    "origin is none": lambda: signed(origin="nowhere"),
    "payload is a list": lambda: jwt.PyJWS().encode(b"[1]", SECRET),
    "payload is deep": lambda: jwt.PyJWS().encode(b'{"a":' + b"[" * 9000, SECRET),
    "crit": lambda: jwt.encode(claims(), SECRET, headers={"crit": ["x"]}),
    "kid is no text": lambda: raw({"alg": "HS256", "kid": {"a": 1}}, claims()),
    "header is deep": lambda: (
        base64.urlsafe_b64encode(b'{"a":' + b"[" * 9000).rstrip(b"=").decode() + ".e30.e30"
    ),
    "empty": lambda: "..",
    "four dots": lambda: "a.b.c.d.e",
    "not ascii": lambda: "é.ü.ö",
    "surrogate": lambda: "\ud800.a.b",
    "no base64": lambda: "!!.!!.!!",
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused(name: str) -> None:
    refusal = await refused(Jwt(BY_SECRET), BAD[name]())
    assert refusal.reason is UNAUTHENTICATED


async def test_an_unreadable_claim_is_named() -> None:
    refusal = await refused(Jwt(BY_SECRET), signed(call_type="canary"))
    assert refusal.message == "The claim call_type of the credential cannot be read."


async def test_issuer_and_audience_are_held_to_the_configuration() -> None:
    method = Jwt(replace(BY_SECRET, issuer="https://id.example.com", audience=("relay", "other")))
    good: dict[str, Any] = {"iss": "https://id.example.com", "aud": ["x", "relay"]}
    spoiled: list[dict[str, Any]] = [{"iss": "https://evil"}, {"aud": "x"}, {"aud": []}]
    assert await verify(method, signed(**good))
    for bad in spoiled:
        await refused(method, signed(**{**good, **bad}))
    await refused(method, signed())
    assert await verify(Jwt(BY_SECRET), signed(iss="any", aud="any"))


def test_every_fault_of_the_configuration_is_told() -> None:
    keys = JwtKeys(secret=SecretStr(SECRET), algorithms=("none", "RS256", "HS257", "HS256"))
    with pytest.raises(ConfigurationError) as caught:
        keys.allowed()
    assert caught.value.faults == (
        "RELAY_JWT_ALGORITHMS: 'none' is not supported",
        "RELAY_JWT_ALGORITHMS: RS256 needs RELAY_JWT_PUBLIC_KEY or RELAY_JWT_JWKS_URL",
        "RELAY_JWT_ALGORITHMS: 'HS257' is not supported",
    )
    for wrong in (
        JwtKeys(),
        JwtKeys(public_key=pem(RSA_KEY), jwks_url="https://x"),
        JwtKeys(public_key=pem(RSA_KEY), algorithms=("HS256",)),
        JwtKeys(public_key="canary"),
        JwtKeys(public_key=pem(RSA_KEY), algorithms=("ES256",)),
        JwtKeys(jwks_url="https://x"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            Jwt(wrong)
        assert "canary" not in str(caught.value)


def test_no_secret_shows() -> None:
    assert SECRET not in repr(BY_SECRET)
    assert SECRET not in repr(Jwt(BY_SECRET))


def test_a_short_secret_is_warned_of() -> None:
    with structlog.testing.capture_logs() as logs:
        Jwt(JwtKeys(secret=SecretStr("short")))
    assert [entry["event"] for entry in logs] == ["jwt_secret_is_short"]


# Times


NOW = 1_900_000_000.25


def timely(**times: Any) -> str:
    return jwt.encode({"sub": "a", "exp": NOW + 60, **times}, SECRET)


def at_now() -> Jwt:
    return Jwt(BY_SECRET, clock=lambda: NOW)


@pytest.mark.parametrize(
    "times",
    [
        {"iat": NOW + 4.9},
        {"nbf": int(NOW) + 5},
        {"iat": NOW - 86_400, "nbf": -5},
        {"exp": NOW + 0.1},
        {"exp": int(NOW) + 1},
    ],
)
async def test_a_clock_may_be_a_little_ahead(times: dict[str, Any]) -> None:
    assert await verify(at_now(), timely(**times))


@pytest.mark.parametrize("ago", [0, 0.2, 3, 4.9, 3600])
async def test_an_expired_token_is_not_admitted_for_a_moment(ago: float) -> None:
    refusal, logs = await refused_and_logged(at_now(), timely(exp=NOW - ago))
    assert refusal.message == "The credential has expired."
    (entry,) = logs
    assert (entry["cause"], entry["claim"]) == ("expired", "exp")
    assert entry["seconds"] == pytest.approx(ago, abs=0.1)


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize("ahead", [5.5, 30, 7200])
async def test_a_clock_that_is_off_is_named_as_such(claim: str, ahead: float) -> None:
    refusal, logs = await refused_and_logged(at_now(), timely(**{claim: NOW + ahead}))
    assert "clock" in refusal.message
    assert f"{ahead:.0f} s" in refusal.message
    (entry,) = logs
    assert (entry["cause"], entry["claim"]) == ("clock_skew", claim)
    assert entry["seconds"] == pytest.approx(ahead, abs=0.1)
    assert "clock" in entry["advice"]


@pytest.mark.parametrize("claim", ["iat", "nbf", "exp"])
@pytest.mark.parametrize("value", ["now", "1900000001", True, [1], 1e300])
async def test_a_time_that_is_none_is_named(claim: str, value: Any) -> None:
    # PyJWT writes what it would not read.
    token = jwt.PyJWS().encode(
        json.dumps({"sub": "a", "exp": NOW + 60, claim: value}).encode(), SECRET
    )
    refusal = await refused(at_now(), token)
    assert refusal.message == f"The claim {claim} of the credential cannot be read."


# Keys at a URL


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    made = jwt.algorithms.RSAAlgorithm if is_rsa else jwt.algorithms.ECAlgorithm
    return {**made.to_jwk(key.public_key(), as_dict=True), **more}


def key_set(*keys: Any) -> bytes:
    return answer(200, {"keys": list(keys)})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with guarded_client(AllowedHosts().allowing("127.0.0.1"), timeout=10) as made:
        yield made


class Url:
    """A `jwt` method whose keys a real server serves."""

    def __init__(
        self, client: httpx.AsyncClient, server: Server, timeout: float = 10, **options: Any
    ) -> None:
        self.clock = Clock()
        self.server = server
        keys = JwtKeys(jwks_url=f"{server.url}/keys", **options)
        jwks = Jwks(f"{server.url}/keys", client, keys.allowed(), clock=self.clock, timeout=timeout)
        self.method = Jwt(keys, jwks)


async def test_keys_are_fetched_once_and_kept(client: httpx.AsyncClient) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a"), jwk(EC_KEY, kid="b"))) as server:
        url = Url(client, server)
        assert await verify(url.method, signed(RSA_KEY, "RS256", "a"))
        assert await verify(url.method, signed(EC_KEY, "ES256", "b"))
        await refused(url.method, signed(OTHER_RSA, "RS256", "a"))
        await refused(url.method, signed(RSA_KEY, "RS256", "b"))
        assert len(server.seen) == 1
        assert server.seen[0].path == "/keys"


async def test_a_storm_of_callers_makes_one_fetch(client: httpx.AsyncClient) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a"))) as server:
        url = Url(client, server)
        token = signed(RSA_KEY, "RS256", "a")
        await asyncio.gather(*(verify(url.method, token) for _ in range(50)))
        assert len(server.seen) == 1


async def test_a_storm_of_unknown_kids_refreshes_once_in_30_s(client: httpx.AsyncClient) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a"))) as server:
        url = Url(client, server)
        assert await verify(url.method, signed(RSA_KEY, "RS256", "a"))
        for number in range(30):
            url.clock.now += 0.9
            refusal = await refused(url.method, signed(OTHER_RSA, "RS256", f"made-up-{number}"))
            assert refusal.reason is OVERLOADED
            left = 30 - 0.9 * (number + 1)
            assert refusal.retry_after == pytest.approx(max(1, left))
        assert len(server.seen) == 1
        url.clock.now += 3.1
        first = await refused(url.method, signed(OTHER_RSA, "RS256", "more"))
        assert first.reason is UNAUTHENTICATED
        for number in range(30):
            refusal = await refused(url.method, signed(OTHER_RSA, "RS256", f"more-{number}"))
            assert (refusal.reason, refusal.retry_after) == (OVERLOADED, 30)
        assert len(server.seen) == 2


@pytest.mark.parametrize("named", [True, False])
async def test_a_key_rotated_within_the_pause_is_not_yet_known_rather_than_refused(
    named: bool,
    client: httpx.AsyncClient,
) -> None:
    """With and without ids: nobody can tell a new key's token from a forged one before a fetch."""
    old, new = ("a", "b") if named else (None, None)
    before = jwk(RSA_KEY, **({"kid": old} if named else {}))
    after = jwk(OTHER_RSA, **({"kid": new} if named else {}))
    async with serving(key_set(before), key_set(before, after)) as server:
        url = Url(client, server)
        assert await verify(url.method, signed(RSA_KEY, "RS256", old))
        url.clock.now += 1
        refusal, logs = await refused_and_logged(url.method, signed(OTHER_RSA, "RS256", new))
        assert (refusal.reason, refusal.retry_after) == (OVERLOADED, 29)
        assert refusal.retry_after is not None
        assert [entry["event"] for entry in logs] == ["jwt_undecided"]
        url.clock.now += refusal.retry_after
        assert await verify(url.method, signed(OTHER_RSA, "RS256", new))
        assert await verify(url.method, signed(RSA_KEY, "RS256", old))
        assert len(server.seen) == 2


def held_key_set() -> tuple[asyncio.Event, asyncio.Event, Answer]:
    """A URL of keys that is set to answer, that was asked, and its answer."""
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(_seen: Seen) -> bytes:
        asked.set()
        await gate.wait()
        return key_set(jwk(RSA_KEY, kid="a"))

    return gate, asked, slow


async def test_a_fetch_that_began_before_a_token_came_does_not_settle_it(
    client: httpx.AsyncClient,
) -> None:
    gate, asked, slow = held_key_set()
    async with serving(slow) as server:
        url = Url(client, server)
        first = asyncio.ensure_future(verify(url.method, signed(RSA_KEY, "RS256", "a")))
        await asyncio.wait_for(asked.wait(), 10)
        second = asyncio.ensure_future(refused(url.method, signed(OTHER_RSA, "RS256", "b")))
        await asyncio.sleep(0)
        gate.set()
        assert await first
        assert (await second).reason is OVERLOADED


async def test_the_first_fetch_settles_the_token_that_caused_it(client: httpx.AsyncClient) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a"))) as server:
        url = Url(client, server)
        refusal = await refused(url.method, signed(OTHER_RSA, "RS256", "b"))
        assert refusal.reason is UNAUTHENTICATED
        assert len(server.seen) == 1


async def test_a_fetch_that_fails_settles_nothing(client: httpx.AsyncClient) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a")), answer(500)) as server:
        url = Url(client, server)
        assert await verify(url.method, signed(RSA_KEY, "RS256", "a"))
        url.clock.now += 31
        refusal = await refused(url.method, signed(OTHER_RSA, "RS256", "b"))
        assert (refusal.reason, refusal.retry_after) == (OVERLOADED, 30)


async def test_each_key_without_an_id_is_tried(client: httpx.AsyncClient) -> None:
    third = rsa.generate_private_key(65537, 2048)
    keys = key_set(jwk(RSA_KEY), jwk(OTHER_RSA, kid=None), jwk(EC_KEY), jwk(third, kid="c"))
    async with serving(keys) as server:
        url = Url(client, server)
        for key, algorithm in ((RSA_KEY, "RS256"), (OTHER_RSA, "RS256"), (EC_KEY, "ES256")):
            assert await verify(url.method, signed(key, algorithm))
            assert await verify(url.method, signed(key, algorithm, "named-by-the-token-alone"))
        assert await verify(url.method, signed(third, "RS256", "c"))
        assert len(server.seen) == 1
        url.clock.now += 31
        # A key with an id is not that of a token without one, where others may be.
        refusal = await refused(url.method, signed(third, "RS256"))
        assert refusal.reason is UNAUTHENTICATED


async def test_two_keys_of_one_id_are_both_tried(client: httpx.AsyncClient) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a"), jwk(OTHER_RSA, kid="a"))) as server:
        url = Url(client, server)
        for key in (RSA_KEY, OTHER_RSA):
            assert await verify(url.method, signed(key, "RS256", "a"))


async def test_a_key_that_cannot_be_used_is_told_once(client: httpx.AsyncClient) -> None:
    keys = key_set(
        jwk(RSA_KEY, kid="good"),
        None,
        jwk(OTHER_RSA, kid=7),
        {"kty": "oct", "k": "YWJj", "kid": "symmetric"},
        {"kty": "RSA", "n": "canary", "e": "!", "kid": "broken"},
        jwk(EC_KEY, kid="other", alg="ES512"),
        jwk(RSA_KEY, kid="for encryption", use="enc"),
    )
    async with serving(keys) as server:
        url = Url(client, server)
        with structlog.testing.capture_logs() as logs:
            assert await verify(url.method, signed(RSA_KEY, "RS256", "good"))
            url.clock.now += 300
            assert await verify(url.method, signed(RSA_KEY, "RS256", "good"))
        assert len(server.seen) == 2
    assert [(entry["position"], entry["cause"]) for entry in logs] == [
        (1, "not_an_object"),
        (2, "kid_is_no_text"),
        (3, "symmetric_key"),
        (4, "unreadable_key"),
        (5, "algorithm_not_allowed"),
    ]
    assert {entry["event"] for entry in logs} == {"jwks_key_ignored"}
    assert "canary" not in str(logs)


async def test_a_rotated_key_is_found_and_an_old_one_forgotten(client: httpx.AsyncClient) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a")), key_set(jwk(OTHER_RSA, kid="b"))) as server:
        url = Url(client, server)
        assert await verify(url.method, signed(RSA_KEY, "RS256", "a"))
        url.clock.now += 30
        assert await verify(url.method, signed(OTHER_RSA, "RS256", "b"))
        await refused(url.method, signed(RSA_KEY, "RS256", "a"))


async def test_a_withdrawn_key_is_forgotten_within_five_minutes(client: httpx.AsyncClient) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a")), key_set(jwk(EC_KEY, kid="b"))) as server:
        url = Url(client, server)
        token = signed(RSA_KEY, "RS256", "a")
        assert await verify(url.method, token)
        url.clock.now += 300
        await refused(url.method, token)


DOWN: dict[str, bytes | Answer] = {
    "5xx": answer(500),
    "redirect": answer(302, b"", location="http://127.0.0.1:1/"),
    "no JSON": answer(200, b"<html>"),
    "no set": answer(200, ["x"]),
    "no keys": answer(200, {"keys": []}),
    "odd keys": key_set(5, {}, {"kty": "RSA", "n": 5, "e": []}, {"kid": 1, "kty": "EC"}),
    "only symmetric": key_set({"kty": "oct", "k": "YWJj", "kid": "a"}),
    "too large": answer(200, b" " * 300_000),
    "closed": b"",
    "silent": hang,
}


@pytest.mark.parametrize("name", DOWN)
async def test_old_keys_stay_good_while_the_url_is_down(
    name: str, client: httpx.AsyncClient
) -> None:
    async with serving(key_set(jwk(RSA_KEY, kid="a")), DOWN[name]) as server:
        url = Url(client, server, timeout=2 if name == "silent" else 10)
        token = signed(RSA_KEY, "RS256", "a")
        assert await verify(url.method, token)
        url.clock.now += 300
        assert await verify(url.method, token)
        assert await verify(url.method, token)
        # A kept connection that ends unanswered has its GET repeated once, on a new one.
        assert len(server.seen) == (3 if name == "closed" else 2)


@pytest.mark.parametrize("name", DOWN)
async def test_without_any_keys_nobody_can_tell_and_failures_are_not_repeated(
    name: str, client: httpx.AsyncClient
) -> None:
    async with serving(DOWN[name], key_set(jwk(RSA_KEY, kid="a"))) as server:
        url = Url(client, server, timeout=0.5 if name == "silent" else 10)
        token = signed(RSA_KEY, "RS256", "a")
        for _ in range(3):
            refusal = await refused(url.method, token)
            assert refusal.reason is OVERLOADED
            assert refusal.retry_after is not None
        assert len(server.seen) == 1
        url.clock.now += 30
        if name != "silent":
            assert await verify(url.method, token)


async def test_an_unreachable_url_is_a_failure_like_others(client: httpx.AsyncClient) -> None:
    server = Server()
    server.port = await closed_port()
    refusal = await refused(Url(client, server).method, signed(RSA_KEY, "RS256", "a"))
    assert refusal.reason is OVERLOADED


async def test_a_caller_that_leaves_does_not_spoil_the_fetch(client: httpx.AsyncClient) -> None:
    gate, asked, slow = held_key_set()
    async with serving(slow) as server:
        url = Url(client, server)
        token = signed(RSA_KEY, "RS256", "a")
        first = asyncio.ensure_future(verify(url.method, token))
        await asyncio.wait_for(asked.wait(), 10)
        second = asyncio.ensure_future(verify(url.method, token))
        third = asyncio.ensure_future(verify(url.method, token))
        await asyncio.sleep(0)
        second.cancel()
        gate.set()
        assert await first
        assert await third
        with pytest.raises(asyncio.CancelledError):
            await second


async def test_a_token_without_a_kid_needs_a_single_key(client: httpx.AsyncClient) -> None:
    one, two = jwk(RSA_KEY, kid="a"), jwk(OTHER_RSA, kid="b")
    async with serving(key_set(one, jwk(EC_KEY, kid="c"))) as server:
        assert await verify(Url(client, server).method, signed(RSA_KEY, "RS256"))
    async with serving(key_set(one, two)) as server:
        await refused(Url(client, server).method, signed(RSA_KEY, "RS256"))


async def test_a_key_is_used_as_it_says_alone(client: httpx.AsyncClient) -> None:
    keys = key_set(
        jwk(RSA_KEY, kid="pinned", alg="PS256"),
        jwk(RSA_KEY, kid="enc", use="enc"),
        jwk(RSA_KEY, kid="free"),
        {"kty": "oct", "kid": "sym", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()},
    )
    async with serving(keys) as server:
        method = Url(client, server, algorithms=("RS256", "PS256")).method
        assert await verify(method, signed(RSA_KEY, "PS256", "pinned"))
        assert await verify(method, signed(RSA_KEY, "PS256", "free"))
        assert await verify(method, signed(RSA_KEY, "RS256", "free"))
        await refused(method, signed(RSA_KEY, "RS256", "pinned"))
        await refused(method, signed(RSA_KEY, "RS256", "enc"))
        await refused(method, signed(SECRET, "HS256", "sym"))
