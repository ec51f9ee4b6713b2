from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from app.auth.authenticator import Authenticator
from app.auth.forward import Forward
from app.egress import AllowedHosts, guarded_client
from app.errors import Refusal
from app.protocol.closing import FORBIDDEN, OVERLOADED, UNAUTHENTICATED, CloseReason
from app.protocol.principal import CallType, Principal
from tests.auth.asking import asking
from tests.egress.server import Answer, answer, hang, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from app.auth.connecting import Connecting

USER = answer(200, {"subject": "customer-7"})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with guarded_client(AllowedHosts.parse(["127.0.0.1"]), timeout=10) as made:
        yield made


async def ask(
    url: str, client: httpx.AsyncClient, request: Connecting, seconds: float = 10
) -> Principal:
    return await Authenticator([Forward(url, client, timeout=seconds)]).authenticate(request)


async def test_the_application_hears_who_asks_and_for_what(client: httpx.AsyncClient) -> None:
    request = asking(
        "lang=de&resume=canary&received=5&q=a%26b",
        path="/ws/support",
        agent="support",
        cookie="session=abc; theme=caf\xe9",
        origin="https://app.example.com",
        authorization="Bearer opaque",
        user_agent="Browser",
        connection="upgrade",
    )
    async with serving(USER) as server:
        assert (await ask(f"{server.url}/auth?from=relay", client, request)).method == "forward"
        (seen,) = server.seen
    assert seen.method == "GET"
    assert seen.path == "/auth"
    assert seen.query == {"from": ["relay"], "lang": ["de"], "q": ["a&b"]}
    expected = {
        "cookie": "session=abc; theme=caf\xe9",
        "origin": "https://app.example.com",
        "authorization": "Bearer opaque",
        "user-agent": "Browser",
        "accept": "application/json",
        "x-original-method": "GET",
        "x-original-uri": "/ws/support?lang=de&q=a%26b",
        "x-forwarded-method": "GET",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "relay.example.com",
        "x-forwarded-uri": "/ws/support?lang=de&q=a%26b",
        "x-forwarded-for": "203.0.113.9",
        "x-relay-agent": "support",
    }
    assert {name: seen.headers.get(name) for name in expected} == expected
    assert "upgrade" not in str(seen.headers.get("connection"))
    assert "canary" not in str(seen)


async def test_the_answer_is_the_principal(client: httpx.AsyncClient) -> None:
    body = {
        "sub": "customer-7",
        "agent": "support",
        "callType": "onPhone",
        "endpoint": "+4930123",
        "additionalData": {"plan": "gold"},
        "expires_at": 2_000_000_000,
        "credential_id": "session-1",
        "more": "is ignored",
    }
    async with serving(answer(201, body)) as server:
        assert await ask(server.url, client, asking()) == Principal(
            "customer-7",
            "forward",
            agent="support",
            call_type=CallType.ON_PHONE,
            endpoint="+4930123",
            additional_data={"plan": "gold"},
            expires_at=2_000_000_000,
            credential_id="session-1",
        )


async def test_a_token_in_the_subprotocol_reaches_the_application(
    client: httpx.AsyncClient,
) -> None:
    async with serving(USER) as server:
        await ask(server.url, client, asking(sec_websocket_protocol="bearer.opaque"))
        assert server.seen[0].headers["authorization"] == "Bearer opaque"


@pytest.mark.parametrize(
    ("status", "reason"), [(401, UNAUTHENTICATED), (403, FORBIDDEN), (400, OVERLOADED)]
)
async def test_refusals_are_the_applications(
    status: int, reason: CloseReason, client: httpx.AsyncClient
) -> None:
    async with serving(answer(status, {"canary": 1})) as server:
        with pytest.raises(Refusal) as caught:
            await ask(server.url, client, asking())
    assert caught.value.reason is reason
    assert "canary" not in caught.value.message


BROKEN: dict[str, bytes | Answer] = {
    "redirect": answer(302, b"", location="http://127.0.0.1:1/login"),
    "5xx": answer(500),
    "no body": answer(204, b""),
    "no JSON": answer(200, b"<html>canary"),
    "no object": answer(200, ["canary"]),
    "no subject": answer(200, {}),
    "odd claim": answer(200, {"sub": "a", "call_type": "canary"}),
    "odd subject": answer(200, {"sub": 5}),
    "too large": answer(200, {"sub": "a", "additional_data": {"x": "y" * 100_000}}),
    "closed": b"",
    "silent": hang,
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_application_that_cannot_tell_fails_closed(
    name: str, client: httpx.AsyncClient
) -> None:
    async with serving(BROKEN[name]) as server:
        with structlog.testing.capture_logs() as logs, pytest.raises(Refusal) as caught:
            await ask(
                server.url, client, asking(cookie="canary"), seconds=0.2 if name == "silent" else 10
            )
        assert len(server.seen) == 1
    assert caught.value.reason is OVERLOADED
    assert caught.value.retry_after is not None
    assert [entry["event"] for entry in logs] == ["forward_auth_failed"]
    assert "canary" not in str(logs) + caught.value.message


async def test_a_private_application_needs_to_be_allowed() -> None:
    async with serving(USER) as server, guarded_client(AllowedHosts(), timeout=10) as strict:
        with pytest.raises(Refusal) as caught:
            await ask(server.url, strict, asking())
        assert caught.value.reason is OVERLOADED
        assert server.connections == 0


async def test_no_user_gets_another_users_cookies(client: httpx.AsyncClient) -> None:
    def who(seen: Any) -> bytes:
        return answer(200, {"sub": seen.headers.get("cookie", "nobody")}, set_cookie="of=first")

    async with serving(who) as server:
        assert (await ask(server.url, client, asking(cookie="me=1"))).subject == "me=1"
        assert (await ask(server.url, client, asking())).subject == "nobody"
