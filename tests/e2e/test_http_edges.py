"""What probes, proxies, curl, Java and old clients send, and a refusal that says what to do."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.support.plain import plain_client
from tests.support.waiting import until
from tests.websocket.peers import HANDSHAKE

if TYPE_CHECKING:
    from tests.support.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"


async def raw(port: int, sent: bytes) -> tuple[int, bytes, bytes]:
    """Send this, and give the answer's status, head and body (what its length says)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = b"" if sent.startswith(b"HEAD") else await reader.readexactly(length)
        return int(head.split()[1]), head, body
    finally:
        writer.close()


def detail(body: bytes) -> str:
    said: str = json.loads(body)["detail"]
    return said


# Methods


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/client.js", "/console"])
async def test_head_is_get_without_its_body(calm: Gateway, path: str) -> None:
    async with plain_client(calm.base) as client:
        head, got = await client.head(path), await client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == got.headers[name]


async def test_head_of_what_never_ends_is_answered_and_the_connection_goes_on(
    calm: Gateway,
) -> None:
    async with calm.api() as client:
        for _ in range(3):
            answer = await client.head("/v1/sessions/nobody/watch")
            assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize(
    ("path", "methods"),
    [("/healthz", {"GET", "HEAD", "OPTIONS"}), ("/v1/tickets", {"POST", "OPTIONS"})],
)
async def test_options_names_the_methods_of_a_path(
    calm: Gateway, path: str, methods: set[str]
) -> None:
    async with plain_client(calm.base) as client:
        answer = await client.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer.headers["allow"].split(", ")) == methods


async def test_an_http_1_0_probe_without_a_host_is_answered_and_closed(calm: Gateway) -> None:
    status, head, _ = await raw(calm.port, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert status == 200
    assert b"connection: close" in head.lower()


# Long and repeated headers


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "Sec-WebSocket-Protocol"])
async def test_a_header_over_16_kb_is_named_with_its_limit(calm: Gateway, name: str) -> None:
    for template in (
        HANDSHAKE % (b"/ws/echo", b"%s"),
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n%s\r\n",
    ):
        line = f"{name}: c={'x' * 16_400}\r\n".encode()
        status, head, body = await raw(calm.port, template % line)
        assert status == 431
        assert b"application/problem+json" in head
        assert detail(body) == f"{name} is 16402 bytes, the most is 16384."

    async def logged() -> bool:
        await raw(calm.port, b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n" % line)
        return f"'{name}'" in calm.log or f'"{name}"' in calm.log or f"header={name}" in calm.log

    await until(logged, every=0.3)  # a line per second of each kind


async def test_headers_of_16_kb_and_repeated_ones_are_taken(calm: Gateway) -> None:
    lines = b"Cookie: a=%s\r\nCookie: b=%s\r\n" % (b"x" * 16_000, b"y" * 16_000)
    status, _, _ = await raw(calm.port, HANDSHAKE % (b"/ws/echo?call_type=chat", lines))
    assert status == 101
    status, _, _ = await raw(calm.port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n%s\r\n" % lines)
    assert status == 200


async def test_a_ticket_of_a_jwts_size_reaches_authentication(calm: Gateway) -> None:
    line = b"Sec-WebSocket-Protocol: blackbox-relay.v1, bearer.%s\r\n" % (b"x" * 16_000)
    status, _, _ = await raw(calm.port, HANDSHAKE % (b"/ws/echo", b"Origin: http://x\r\n" + line))
    assert status in (101, 403)


async def test_a_long_url_is_414_with_a_sentence(calm: Gateway) -> None:
    asked = b"GET /healthz?%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 9000)
    status, _, body = await raw(calm.port, asked)
    assert status == 414
    assert detail(body) == "The URL is 9009 bytes, the most is 8192."


# Trailing slashes


@pytest.mark.parametrize("path", ["/healthz/", "/client.js/", "/v1/sessions/"])
async def test_a_trailing_slash_is_the_same_path_and_no_redirect(calm: Gateway, path: str) -> None:
    async with calm.api() as client:
        answer = await client.get(path, headers={"x-forwarded-proto": "https"})
    assert answer.status_code == 200
    assert "location" not in answer.headers


async def test_a_ticket_is_minted_behind_a_slash_too(strict: Gateway) -> None:
    async with strict.api() as client:
        answer = await client.post("/v1/tickets/", json={"subject": "u"})
    assert answer.status_code == 201
    strict.secrets["slashed ticket"] = answer.json()["ticket"]


async def test_a_pages_slash_leads_to_it_by_a_relative_address(calm: Gateway) -> None:
    async with plain_client(calm.base) as client:
        answer = await client.get("/console/")
        assert answer.headers["location"] == "../console"
    status, head, _ = await raw(
        calm.port, b"GET //evil.example/console/ HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    assert status == 404
    assert b"location" not in head.lower()


@pytest.mark.parametrize(
    ("path", "status"),
    [(b"/ws/", 101), (b"/ws/echo/", 101), (b"/api/v1/ws/webCall/", 101), (b"/nothing/", 404)],
)
async def test_a_websockets_path_takes_a_slash_and_an_unknown_one_is_404(
    calm: Gateway, path: bytes, status: int
) -> None:
    got, head, body = await raw(calm.port, HANDSHAKE % (path, b""))
    assert got == status
    if status == 404:
        assert b"application/problem+json" in head
        assert "/ws" in detail(body)


# Bodies


@pytest.mark.parametrize(
    "kind", [None, "application/x-www-form-urlencoded", "text/plain", "application/jsonx"]
)
async def test_a_body_that_is_not_called_json_is_415_with_what_to_send(
    calm: Gateway, kind: str | None
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    async with calm.api() as client:
        answer = await client.post("/v1/tickets", content=b'{"subject":"u"}', headers=headers)
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/vnd.x+json", "APPLICATION/JSON"]
)
async def test_any_json_type_mints(calm: Gateway, kind: str) -> None:
    async with calm.api() as client:
        answer = await client.post(
            "/v1/tickets", content=b'{"subject":"u"}', headers={"content-type": kind}
        )
    assert answer.status_code == 201
    calm.secrets[kind] = answer.json()["ticket"]


# WebSockets that cannot be


@pytest.mark.parametrize("path", [b"/ws", b"/ws/support", b"/api/v1/ws/webCall", b"/ws/"])
@pytest.mark.parametrize("lines", [b"", b"Connection: close\r\nUpgrade: websocket\r\n" + KEY])
async def test_a_websockets_path_without_upgrade_is_426_and_names_the_proxy(
    calm: Gateway, path: bytes, lines: bytes
) -> None:
    asked = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (path, lines)
    status, head, body = await raw(calm.port, asked)
    assert status == 426
    assert b"\r\nupgrade: websocket\r\n" in head
    assert "a proxy in between does not pass the upgrade on" in detail(body)


async def test_the_lost_upgrade_is_in_the_log_and_spends_no_ticket(calm: Gateway) -> None:
    ticket = await calm.ticket()
    asked = f"GET /ws/echo?ticket={ticket} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    assert (await raw(calm.port, asked))[0] == 426
    await until(lambda: "no_upgrade" in calm.log)
    path = f"/ws/echo?call_type=chat&ticket={ticket}".encode()
    assert (await raw(calm.port, HANDSHAKE % (path, b"")))[0] == 101
    # Now it is spent: a second use is refused, so the first was the one that counted.
    assert (await raw(calm.port, HANDSHAKE % (path, b"")))[0] == 401


async def test_another_version_is_told_the_one_that_is_spoken(calm: Gateway) -> None:
    asked = (HANDSHAKE % (b"/ws/echo", b"")).replace(b"Version: 13", b"Version: 8")
    status, head, _ = await raw(calm.port, asked)
    assert status == 426
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in head


@pytest.mark.parametrize("origin", [True, False], ids=["browser", "no browser"])
async def test_a_ticket_offered_alone_is_refused_with_a_sentence_and_stays_good(
    calm: Gateway, origin: bool
) -> None:
    ticket = await calm.ticket()
    lines = f"Sec-WebSocket-Protocol: bearer.{ticket}\r\n"
    if origin:
        lines += f"Origin: {calm.base}\r\n"
    asked = HANDSHAKE.replace(b"Host: test", f"Host: 127.0.0.1:{calm.port}".encode())
    status, _, body = await raw(calm.port, asked % (b"/ws/echo", lines.encode()))
    assert status == 400
    assert "blackbox-relay.v1 beside bearer." in detail(body)
    await until(lambda: "no_subprotocol" in calm.log)
    lines = lines.replace("bearer.", "blackbox-relay.v1, bearer.")
    status, _, _ = await raw(calm.port, asked % (b"/ws/echo?call_type=chat", lines.encode()))
    assert status == 101
