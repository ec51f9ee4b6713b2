"""What key servers and applications really answer: marks, codings, and causes by name."""

from __future__ import annotations

import codecs
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm

from app.auth.forward import Forward
from app.auth.jwks import Jwks
from app.egress import AllowedHosts, guarded_client
from app.protocol.close_codes import OVERLOADED
from app.protocol.errors import Refusal
from tests.auth.asking import asking
from tests.egress.server import answer, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

KEY = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
KEYS = json.dumps({"keys": [{**KEY, "kid": "a"}]}).encode()
USER = b'{"sub":"ann"}'

CAUSES = {
    "answer_compressed": answer(200, gzip.compress(KEYS, mtime=0), content_encoding="gzip"),
    "answer_not_json": answer(200, b"<html>"),
    "answer_not_utf8": answer(200, '{"keys":"é"}'.encode("utf-16")),
    "answer_too_large": answer(200, b" " * 300_000),
    "http_5xx": answer(500),
}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with guarded_client(AllowedHosts.parse(["127.0.0.1"]), timeout=10) as made:
        yield made


async def key_of(url: str, client: httpx.AsyncClient) -> dict[str, Any]:
    """Return the id of the key that a token of key `a` would be verified by."""
    keys = Jwks(url, client, frozenset({"ES256"}))
    return await keys.verified("ES256", "a", lambda key: {"kid": key.key_id})


@pytest.mark.parametrize("coding", ["", "identity", "none", "utf-8"])
async def test_a_mark_and_codings_that_are_none_are_no_fault(
    coding: str, client: httpx.AsyncClient
) -> None:
    marked = [answer(200, codecs.BOM_UTF8 + raw, content_encoding=coding) for raw in (KEYS, USER)]
    async with serving(*marked) as server:
        assert await key_of(server.url, client) == {"kid": "a"}
        principal = await Forward(server.url, client).authenticate(asking(), None)
    assert principal.subject == "ann"


@pytest.mark.parametrize("cause", CAUSES)
async def test_the_log_names_the_cause(cause: str, client: httpx.AsyncClient) -> None:
    async with serving(CAUSES[cause]) as server:
        with structlog.testing.capture_logs() as logs:
            with pytest.raises(Refusal) as caught:
                await key_of(server.url, client)
            assert caught.value.reason is OVERLOADED
            with pytest.raises(Refusal) as caught:
                await Forward(server.url, client).authenticate(asking(), None)
            assert caught.value.reason is OVERLOADED
    assert [(entry["event"], entry["cause"]) for entry in logs] == [
        ("jwks_fetch_failed", cause),
        ("forward_auth_failed", "http_500" if cause == "http_5xx" else cause),
    ]


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"keys": "none"}, "not_a_key_set"),
        ([], "not_a_key_set"),
        ({"keys": []}, "no_usable_key"),
    ],
)
async def test_the_log_names_what_a_key_set_lacks(
    body: Any, cause: str, client: httpx.AsyncClient
) -> None:
    async with serving(answer(200, body)) as server:
        with structlog.testing.capture_logs() as logs, pytest.raises((Refusal, PyJWTError)):
            await key_of(server.url, client)
    assert [entry["cause"] for entry in logs] == [cause]
