"""What the gateway answers over HTTP: balancers, backends, operators, and nonsense."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin
from uuid import uuid4

import pytest

from tests.support.browser import browser
from tests.support.gateway import SERVICE_TOKEN
from tests.support.plain import plain_client

if TYPE_CHECKING:
    import httpx

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")

UPGRADE = (
    b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def asking(base: str, **headers: str) -> httpx.AsyncClient:
    return plain_client(base, headers=headers)


# Balancers


async def test_alive_and_ready(calm: Gateway) -> None:
    async with asking(calm.base) as client:
        alive, ready = await client.get("/healthz"), await client.get("/readyz")
    assert (alive.status_code, alive.json()["status"]) == (200, "ok")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.headers["cache-control"] == "no-store"


async def test_metrics_have_the_names_of_the_contract(calm: Gateway) -> None:
    async with calm.api() as client:
        answer = await client.get("/metrics")
    names = {line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")}
    assert {
        *("relay_sessions", "relay_sessions_total", "relay_session_seconds"),
        *("relay_frames_total", "relay_frame_bytes_total", "relay_latency_seconds"),
        *("relay_upstream_connect_seconds", "relay_tool_calls_total", "relay_tool_seconds"),
        *("relay_refusals_total", "relay_resumes_total", "relay_outbox_bytes"),
        *("relay_loop_lag_seconds", "relay_upstream_unknown_types_total"),
        "relay_state_errors_total",
    } <= names


async def test_no_label_takes_its_value_from_a_client(calm: Gateway) -> None:
    mark = uuid4().hex
    async with browser(f"{calm.ws}/ws/{mark}?call_type={mark}", origin=calm.base) as page:
        await page.refused()
    async with browser(f"{calm.ws}/ws/echo") as page:
        await page.wish(marker=mark, fault="unknown_tool")
        await page.connected()
        await page.send({"type": mark})
        await page.send({"type": "event", "name": mark})
        await page.terminate()
    async with calm.api() as client:
        text = (await client.get("/metrics")).text
    assert mark not in text
    assert "no_such_tool" not in text


async def test_draining_is_told_to_balancers(vendor: Emulator) -> None:
    from signal import SIGTERM  # noqa: PLC0415

    from tests.support.gateway import gateway  # noqa: PLC0415

    async with gateway(vendor.url, drain_delay=30, drain_timeout=30) as leaving:
        async with browser(f"{leaving.ws}/ws/echo?call_type=chat", native=True) as page:
            await page.connected()
            leaving.signal(SIGTERM)
            assert (await page.frame("event", "relay.draining"))["data"]["deadline"]
            async with asking(leaving.base) as client:
                ready, alive = await client.get("/readyz"), await client.get("/healthz")
            assert (ready.status_code, ready.json()["reason"]) == (503, "draining")
            assert alive.status_code == 200
            await page.talks("still served")
            leaving.signal(SIGTERM)
            error, code = await page.refused()
            assert code == error["code"] == 1001
        assert await leaving.ended() == 0


# Ports


async def test_backends_have_a_port_of_their_own(strict: Gateway) -> None:
    paths = ("/metrics", "/v1/sessions", "/v1/tickets", "/v1/conversations", "/v1/calls")
    headers = {"authorization": f"Bearer {SERVICE_TOKEN}"}
    async with asking(strict.base, **headers) as public:
        for path in paths:
            answer = await public.get(path)
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "application/problem+json"
        for path in ("/healthz", "/readyz", "/client.js", "/demo"):
            assert (await public.get(path)).status_code == 200, path
    async with asking(strict.internal, **headers) as internal:
        for path in ("/metrics", "/v1/sessions", "/healthz", "/readyz"):
            assert (await internal.get(path)).status_code == 200, path
        for path in ("/demo", "/ws/echo", "/client.js"):
            assert (await internal.get(path)).status_code == 404, path
    with pytest.raises(Exception, match=r"HTTP 40[34]"):
        async with browser(strict.internal.replace("http", "ws") + "/ws/echo"):
            pass


# Problems


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/here", 404),
        ("GET", "/v1/sessions/nobody", 404),
        ("GET", "/v1/sessions/nobody/watch", 404),
        ("DELETE", "/v1/sessions/nobody", 404),
        ("GET", "/v1/conversations", 404),
        ("POST", "/healthz", 405),
        ("PUT", "/v1/sessions", 405),
        ("POST", "/v1/tickets", 422),
        ("POST", "/v1/calls", 422),
        ("GET", "/v1/sessions?limit=0", 422),
    ],
)
async def test_error_is_a_problem(calm: Gateway, method: str, path: str, status: int) -> None:
    async with calm.api() as client:
        answer = await client.request(method, path)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "detail"} <= set(problem)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {SERVICE_TOKEN}"},
        {"authorization": f"Bearer {SERVICE_TOKEN}x"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer \xe9\xff"},
        {"cookie": f"token={SERVICE_TOKEN}"},
    ],
)
async def test_backend_without_a_service_token_is_refused(
    calm: Gateway, headers: dict[str, str]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with plain_client(calm.base) as client:
        for method, path in (
            ("GET", "/v1/sessions"),
            ("DELETE", "/v1/sessions/x"),
            ("GET", "/v1/sessions/x/watch"),
            ("POST", "/v1/tickets"),
            ("POST", "/v1/calls"),
            ("GET", "/v1/conversations"),
        ):
            answer = await client.request(method, path, headers=raw)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"
            assert SERVICE_TOKEN not in answer.text


async def test_what_was_wrong_is_not_repeated(calm: Gateway) -> None:
    canary = "canary-of-a-customer"
    async with calm.api() as client:
        answer = await client.post("/v1/tickets", json={"subject": [canary], "ttl": canary})
        nothing = await client.get(f"/{canary}")
    assert answer.status_code == 422
    assert {fault["at"] for fault in answer.json()["faults"]} == {"body.subject", "body.ttl"}
    assert canary not in answer.text + nothing.text


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ws/echo HTTP/1.1\r\n" + UPGRADE + b"X: " + b"x" * 500_000 + b"\r\n\r\n",
        b"GET /ws/\xe9\xff HTTP/1.1\r\n" + UPGRADE + b"\r\n",
        b"GET /ws/echo HTTP/1.1\r\n" + UPGRADE + b"X: y\r\n" * 100_000 + b"\r\n",
        b"GET /ws/echo HTTP/1.1\r\n" + UPGRADE.replace(b"13", b"12") + b"\r\n",
        b"GET /ws/echo HTTP/1.1\r\n" + UPGRADE.replace(b"Key: dGhl", b"Key: d") + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
    ids=[
        *("long header", "path is not ASCII", "many headers", "old version", "bad key"),
        *("long path", "many headers without an upgrade", "TLS", "two lengths"),
    ],
)
async def test_head_that_cannot_be_read_is_answered_and_let_go(calm: Gateway, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", calm.port)
    writer.write(head)
    async with asyncio.timeout(60):
        try:
            answer = await reader.read()
        except ConnectionResetError:
            answer = b"HTTP/1.1 4"  # it went while we still wrote
        finally:
            writer.close()
    assert answer.startswith(b"HTTP/1.1 4")
    assert "Traceback" not in calm.log
    assert not calm.lines(logger="uvicorn.error", level="error")


# Pages


async def test_the_widget_and_its_modules_can_be_imported_from_any_origin(strict: Gateway) -> None:
    async with asking(strict.base) as client:
        left, seen = ["/widget.js"], set()
        while left:
            path = left.pop()
            module = await client.get(path)
            assert module.status_code == 200, path
            assert module.headers["content-type"].startswith("text/javascript")
            assert module.headers["access-control-allow-origin"] == "*"
            seen.add(path)
            found = re.findall(r"from '(\.[^']+\.js)'", module.text)
            left += {urljoin(path, name) for name in found} - seen
        assert {"/widget/element.js", "/client.js"} <= seen
        types = await client.get("/widget.d.ts")
        assert types.status_code == 200
        assert "HTMLElementTagNameMap" in types.text


async def test_a_file_that_the_browser_has_is_not_sent_again(strict: Gateway) -> None:
    async with asking(strict.base) as client:
        for path in ("/demo", "/demo/demo.css", "/widget.js", "/client/link.js"):
            first = await client.get(path)
            tag = first.headers["etag"]
            for known in (tag, f'"other", W/{tag}'):
                again = await client.get(path, headers={"if-none-match": known})
                assert (again.status_code, again.content) == (304, b"")
                same = ("etag", "cache-control", "content-security-policy")
                assert [again.headers[key] for key in same] == [first.headers[key] for key in same]
                # A page on another origin revalidates modules by CORS.
                origin = "access-control-allow-origin"
                assert again.headers.get(origin) == first.headers.get(origin)
            other = await client.get(path, headers={"if-none-match": '"other"'})
            assert (other.status_code, other.content) == (200, first.content)


async def test_pages_come_under_a_strict_policy(strict: Gateway) -> None:
    async with asking(strict.base) as client:
        for path in ("/demo", "/console", "/client.js", "/client.d.ts"):
            answer = await client.get(path)
            assert answer.status_code == 200, path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
        script = await client.get("/client.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert script.headers["access-control-allow-origin"] == "*"
        modules = re.findall(r"from '\.(/client/[a-z]+\.js)'", script.text)
        assert modules
        for path in modules:
            module = await client.get(path)
            assert module.status_code == 200, path
            same = ("content-type", "access-control-allow-origin", "cache-control")
            assert {key: module.headers[key] for key in (*same, "content-security-policy")} == {
                key: script.headers[key] for key in (*same, "content-security-policy")
            }
            assert module.headers["etag"]
        for path in (
            "/client/",
            "/client/../settings.py",
            "/client/none.js",
            "/client/__init__.py",
        ):
            assert (await client.get(path)).status_code == 404, path
        for path in ("/demo/../settings", "/demo/%2e%2e%2fmain.py", "/demo/console.js"):
            assert (await client.get(path)).status_code == 404, path


async def test_demo_is_off_unless_it_is_switched_on(calm: Gateway) -> None:
    async with asking(calm.base) as client:
        assert (await client.get("/demo")).status_code == 404


@pytest.mark.parametrize("path", ["/asyncapi.json", "/openapi.json"])
async def test_schemas_are_served(calm: Gateway, path: str) -> None:
    async with asking(calm.base) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.json()["info"]["title"]
