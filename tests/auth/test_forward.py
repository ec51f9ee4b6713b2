from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from app.auth.authenticator import Authenticator
from app.auth.forward import Forward
from app.auth.open import Open
from app.egress import AllowedHosts, guarded_client
from app.protocol.close_codes import FORBIDDEN, OVERLOADED, UNAUTHENTICATED, CloseReason
from app.protocol.errors import Refusal
from app.protocol.principal import CallType, Principal
from tests.auth.asking import asking
from tests.egress.server import Answer, Server, answer, hang, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from app.auth.connect_request import ConnectRequest

USER = answer(200, {"subject": "customer-7"})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with guarded_client(AllowedHosts.parse(["127.0.0.1"]), timeout=10) as made:
        yield made


async def ask(
    url: str,
    client: httpx.AsyncClient,
    request: ConnectRequest,
    seconds: float = 10,
    headers: tuple[str, ...] = (),
) -> Principal:
    forward = Forward(url, client, user_headers=headers, timeout=seconds)
    return await Authenticator([forward]).authenticate(request)


async def test_the_application_hears_who_asks_and_for_what(client: httpx.AsyncClient) -> None:
    request = asking(
        "lang=de&resume=canary&received=5&q=a%26b",
        path="/ws/support",
        agent="support",
        cookie="session=abc; __Host-relay-console=canary; relay-console=canary; theme=caf\xe9",
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
    "moved": answer(301, b"", location="http://127.0.0.1:1/canary"),
    "moved for good": answer(308, b"", location="http://127.0.0.1:1/canary"),
    "not modified": answer(304, b""),
    "proxy's own sign-in": answer(407, b""),
    "no such path": answer(404, b"canary"),
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
    assert logs[0]["advice"]


@pytest.mark.parametrize("status", [302, 303, 307])
async def test_a_redirect_to_a_login_means_that_nobody_is_signed_in(
    status: int, client: httpx.AsyncClient
) -> None:
    login = answer(status, b"", location="https://sso.example.com/login?canary=1")
    async with serving(login) as server:
        with structlog.testing.capture_logs() as logs, pytest.raises(Refusal) as caught:
            await ask(server.url, client, asking(cookie="old=1"))
        assert len(server.seen) == 1
    assert caught.value.reason is UNAUTHENTICATED
    assert "sign-in" in caught.value.message
    assert [entry["event"] for entry in logs] == ["forward_auth_redirected"]
    assert "canary" not in str(logs) + caught.value.message


@pytest.mark.parametrize("status", [302, 303, 307, 401])
async def test_who_is_not_signed_in_may_come_by_the_next_method(
    status: int, client: httpx.AsyncClient
) -> None:
    async with serving(answer(status, b"", location="/login")) as server:
        chain = Authenticator([Forward(server.url, client), Open()])
        assert (await chain.authenticate(asking())).method == "open"


NAMED: dict[str, tuple[bytes, str]] = {
    "202 without a body": (answer(202, b"", X_Auth_Request_User="alice"), "alice"),
    "204": (b"HTTP/1.1 204 No\r\nX-Forwarded-User: bob@example.com\r\n\r\n", "bob@example.com"),
    "text": (answer(200, b"OK", remote_user=" carol "), "carol"),
    "JSON that names nobody": (answer(200, {"status": "ok"}, remote_user="dan"), "dan"),
    "JSON that is no object": (
        answer(200, b'"OK"', content_type="application/json", remote_user="eve"),
        "eve",
    ),
    "the first that is there": (
        answer(200, b"", remote_user="last", x_auth_request_user="first"),
        "first",
    ),
    "JSON goes before": (answer(200, {"sub": "u9"}, remote_user="proxy"), "u9"),
}
HEADERS = ("X-Auth-Request-User", "X-Forwarded-User", "Remote-User")


@pytest.mark.parametrize("name", NAMED)
async def test_a_header_that_the_operator_names_tells_the_user(
    name: str, client: httpx.AsyncClient
) -> None:
    said, subject = NAMED[name]
    async with serving(said) as server:
        assert (await ask(server.url, client, asking(), headers=HEADERS)).subject == subject


async def test_no_header_tells_the_user_unless_the_operator_names_it(
    client: httpx.AsyncClient,
) -> None:
    async with serving(answer(202, b"", x_auth_request_user="alice")) as server:
        for headers in ((), ("Remote-User",)):
            with structlog.testing.capture_logs() as logs, pytest.raises(Refusal) as caught:
                await ask(server.url, client, asking(), headers=headers)
            assert caught.value.reason is OVERLOADED
            assert "RELAY_FORWARD_AUTH_HEADER" in logs[0]["advice"]


async def test_what_a_body_pins_holds_for_a_user_that_a_header_names(
    client: httpx.AsyncClient,
) -> None:
    said = answer(200, {"agent": "support", "exp": 2e9}, remote_user="alice")
    async with serving(said) as server:
        principal = await ask(server.url, client, asking(), headers=HEADERS)
    assert principal == Principal("alice", "forward", agent="support", expires_at=2e9)


DOUBTFUL: dict[str, bytes] = {
    "named twice": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nRemote-User: alice\r\nRemote-User: admin\r\n\r\n"
    ),
    "empty": answer(200, b"", remote_user=""),
    "too long": answer(200, b"", remote_user="a" * 513),
    "JSON that is cut": answer(200, b'{"agent": "sup', remote_user="alice"),
    "subject that is no text": answer(200, {"sub": None}, remote_user="alice"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
async def test_a_user_in_doubt_is_nobody(name: str, client: httpx.AsyncClient) -> None:
    async with serving(DOUBTFUL[name]) as server:
        with pytest.raises(Refusal) as caught:
            await ask(server.url, client, asking(), headers=HEADERS)
    assert caught.value.reason is OVERLOADED


async def test_a_kept_connection_that_ends_unanswered_is_no_failure(
    client: httpx.AsyncClient,
) -> None:
    """The application's keep-alive time-out and our next question cross each other."""
    async with serving(USER, b"", USER) as server:
        assert (await ask(server.url, client, asking())).subject == "customer-7"
        assert (await ask(server.url, client, asking())).subject == "customer-7"
        # Asked twice, the second time on a connection of its own.
        assert (len(server.seen), server.connections) == (3, 2)
        assert server.seen[1].target == server.seen[2].target


async def test_it_is_asked_again_once_and_no_more(client: httpx.AsyncClient) -> None:
    async with serving(USER, b"") as server:
        assert await ask(server.url, client, asking())
        with pytest.raises(Refusal) as caught:
            await ask(server.url, client, asking())
        assert caught.value.reason is OVERLOADED
        assert (len(server.seen), server.connections) == (3, 2)


@pytest.mark.parametrize("cut", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-"])
async def test_an_answer_that_has_begun_is_not_asked_for_again(
    cut: bytes, client: httpx.AsyncClient
) -> None:
    class Cutting(Server):
        async def _serve(self, reader: Any, writer: Any) -> None:
            self.connections += 1
            for said in (USER, cut):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(said)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

    async with serving(made=Cutting()) as server:
        assert await ask(server.url, client, asking())
        with pytest.raises(Refusal) as caught:
            await ask(server.url, client, asking())
        assert caught.value.reason is OVERLOADED
        assert server.connections == 1


async def test_a_fresh_connection_that_ends_is_not_asked_again(client: httpx.AsyncClient) -> None:
    async with serving(b"") as server:
        with pytest.raises(Refusal):
            await ask(server.url, client, asking())
        assert len(server.seen) == 1


async def test_many_kept_connections_that_end_at_once_cost_nobody_anything(
    client: httpx.AsyncClient,
) -> None:
    """The second attempt is on a new connection, whatever else is kept."""
    gate = asyncio.Event()

    async def together(_seen: Any) -> bytes:
        if len(server.seen) >= 5:
            gate.set()
        await gate.wait()
        return USER

    async with serving(together) as server:
        await asyncio.gather(*(ask(server.url, client, asking()) for _ in range(5)))
        assert server.connections == 5
        server.answers = [b"", USER]
        assert await ask(server.url, client, asking())
        assert server.connections == 6


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
