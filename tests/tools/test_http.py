from __future__ import annotations

import asyncio
import base64
import codecs
import gzip
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from standardwebhooks.webhooks import Webhook

from app.egress import AllowedHosts, guarded_client
from app.protocol.errors import ConfigurationError
from app.protocol.tool import Outcome, ToolCall, ToolResult
from app.tools import Registry, ToolExecutor
from app.tools.http import http_tools
from tests.egress.server import Seen, answer, closed_port, hang, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from app.tools import ToolContext

SECRET = "whsec_" + base64.b64encode(b"canary-secret-of-24-bytes").decode()

# Without a time in it: every process that collects the tests must make the same parameters.
GZIPPED = gzip.compress(b'{"a":1}', mtime=0)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with guarded_client(AllowedHosts.parse(["127.0.0.1"]), timeout=10) as made:
        yield made


async def call(
    written: dict[str, Any], client: httpx.AsyncClient, ctx: ToolContext, args: Any = None
) -> ToolResult:
    tools = http_tools({"lookup": written}, client, timeout=10)
    return await ToolExecutor(Registry(tools)).run(ToolCall("call-1", "lookup", args), ctx)


async def test_a_handler_made_for_the_vendor_verifies_and_answers(
    client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving(answer(200, {"found": True})) as server:
        written = {
            "url": f"{server.url}/hook",
            "secret": SECRET,
            "headers": {"X-Team": "orders"},
            "parameters": {"type": "object", "properties": {"order": {"type": "string"}}},
        }
        result = await call(written, client, ctx, {"order": "A-1"})
        assert result == ToolResult("call-1", {"found": True}, Outcome.OK)
        (seen,) = server.seen
        payload = Webhook(SECRET).verify(seen.body, seen.headers)
        assert payload == {
            "type": "ToolWebHookPayload",
            "status": "Running",
            "callId": "s-1",
            "agentId": "support",
            "orgId": "",
            "toolName": "lookup",
            "arguments": {"order": "A-1"},
            "callAdditionalData": {"plan": "gold"},
            "agentAdditionalData": {},
            "relay": {"subject": "customer-7", "callType": "chat", "requestId": "call-1"},
        }
        assert seen.method == "POST"
        assert seen.headers["content-type"] == "application/json"
        assert seen.headers["x-team"] == "orders"


async def test_without_a_secret_nothing_is_signed(
    client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving(answer(204, b"")) as server:
        result = await call({"url": server.url}, client, ctx)
        assert result == ToolResult("call-1", None, Outcome.OK)
        assert server.seen[0].json["arguments"] == {}
        assert "webhook-signature" not in server.seen[0].headers
        assert server.seen[0].headers["webhook-id"].startswith("msg_")
        assert server.seen[0].headers["idempotency-key"] == "s-1/call-1"


async def test_a_request_id_that_no_header_may_hold_is_encoded_in_the_idempotency_key(
    client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    odd = replace(ctx, call_id='é\r\nx: "%1 ')
    async with serving(answer(204, b"")) as server:
        await call({"url": server.url}, client, odd)
        assert server.seen[0].headers["idempotency-key"] == "s-1/%C3%A9%0D%0Ax:%20%22%251%20"


async def test_5xx_is_retried_under_the_same_id(
    client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving(answer(503), answer(500), answer(200, "third")) as server:
        result = await call({"url": server.url, "secret": SECRET}, client, ctx)
        assert result.result == "third"
        assert len({seen.headers["webhook-id"] for seen in server.seen}) == 1
        assert {seen.headers["idempotency-key"] for seen in server.seen} == {"s-1/call-1"}
        for seen in server.seen:
            Webhook(SECRET).verify(seen.body, seen.headers)


async def test_a_time_out_is_retried_within_the_deadline(
    client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving(hang, answer(200, "second")) as server:
        result = await call({"url": server.url, "timeout": 2, "retries": 1}, client, ctx)
        assert result.result == "second"


async def test_a_dropped_connection_is_retried(client: httpx.AsyncClient, ctx: ToolContext) -> None:
    async with serving(b"", answer(200, "second")) as server:
        assert (await call({"url": server.url}, client, ctx)).result == "second"


async def test_the_deadline_holds_for_all_attempts(
    client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving(hang) as server:
        started = time.monotonic()
        result = await call({"url": server.url, "timeout": 0.3, "retries": 10}, client, ctx)
        assert result.outcome is Outcome.TIMEOUT
        assert time.monotonic() - started < 5
        assert len(server.seen) < 10


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 409, 429])
async def test_3xx_and_4xx_are_final(
    status: int, client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving() as inner:
        went = answer(status, {"canary": "canary-body"}, location=inner.url)
        async with serving(went) as server:
            result = await call({"url": server.url}, client, ctx)
            told = status >= 400 and status != 401
            assert result.outcome is (Outcome.TOOL_ERROR if told else Outcome.CRASHED)
            assert ("canary" in str(result)) is told
            assert len(server.seen) == 1
            assert inner.connections == 0


async def test_retries_end(client: httpx.AsyncClient, ctx: ToolContext) -> None:
    async with serving(answer(500)) as server:
        result = await call({"url": server.url, "retries": 1}, client, ctx)
        assert result.outcome is Outcome.CRASHED
        assert len(server.seen) == 2
    gone = await call({"url": f"http://127.0.0.1:{await closed_port()}"}, client, ctx)
    assert gone.outcome is Outcome.CRASHED


@pytest.mark.parametrize(
    "raw",
    [b"<html>", b'{"a":NaN}', b"[" * 5000, b"\xff", answer(200, b'"' + b"x" * 300_000 + b'"')],
    ids=["html", "nan", "deep", "not-utf8", "large"],
)
async def test_an_unusable_answer_is_an_error_and_not_retried(
    raw: bytes, client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving(raw if raw.startswith(b"HTTP") else answer(200, raw)) as server:
        result = await call({"url": server.url}, client, ctx)
        assert result.outcome is Outcome.CRASHED
        assert len(server.seen) == 1


async def test_a_private_address_is_refused_and_not_retried(ctx: ToolContext) -> None:
    async with serving() as server, guarded_client(AllowedHosts(), timeout=10) as strict:
        with structlog.testing.capture_logs() as logs:
            result = await call({"url": server.url}, strict, ctx)
        assert result.result == {"error": {"code": "crashed", "message": "The tool failed."}}
        assert server.connections == 0
        assert [entry["cause"] for entry in logs] == ["address_not_allowed"]


@pytest.mark.parametrize(
    ("status", "coding", "body", "result"),
    [
        (204, "gzip", b"", None),
        (200, "gzip", b"", None),
        (200, "br, gzip", b"", None),
        (200, "", b'{"a":1}', {"a": 1}),
        (200, "identity, identity", b'{"a":1}', {"a": 1}),
        (200, "none", b'{"a":1}', {"a": 1}),
        (200, "UTF-8", b'{"a":1}', {"a": 1}),
        (200, "identity", codecs.BOM_UTF8 + b'{"a":1}', {"a": 1}),
        (200, "", codecs.BOM_UTF8 + b" \r\n", None),
        (200, "", b' {"n": 12345678901234567890123} ', {"n": 12345678901234567890123}),
    ],
)
async def test_an_answer_that_holds_nothing_odd_is_read(
    status: int, coding: str, body: bytes, result: Any, client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving(answer(status, body, content_encoding=coding)) as server:
        told = await call({"url": server.url}, client, ctx)
    assert told == ToolResult("call-1", result, Outcome.OK)


@pytest.mark.parametrize(
    ("raw", "cause"),
    [
        (
            answer(200, gzip.compress(b'{"a":1}', mtime=0), content_encoding="gzip"),
            "answer_compressed",
        ),
        (answer(200, b"\x8b", content_encoding="identity, BR"), "answer_compressed"),
        (answer(200, b'"' + b"x" * 300_000 + b'"'), "answer_too_large"),
        (answer(200, b"<html>"), "answer_not_json"),
        (answer(200, '{"a":"é"}'.encode("latin-1")), "answer_not_utf8"),
        (answer(200, '{"a":1}'.encode("utf-16")), "answer_not_utf8"),
        (answer(200, '{"a":1}'.encode("utf-16-le")), "answer_not_utf8"),
        (answer(200, b"1" * 5000), "number_too_large"),
        (answer(302, b"", location="/"), "http_3xx"),
        (answer(404, b"<html>no such order"), "http_4xx"),
        (answer(404, b""), "http_4xx"),
        (answer(401, {"error": "canary"}), "http_4xx"),
        (answer(503, {"error": "canary"}), "http_5xx"),
        (b"no HTTP\r\n\r\n", "answer_not_http"),
    ],
)
async def test_the_log_names_the_cause(
    raw: bytes, cause: str, client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serving(raw) as server:
            result = await call({"url": server.url, "retries": 0}, client, ctx)
    assert result.result == {"error": {"code": "crashed", "message": "The tool failed."}}
    assert [entry["cause"] for entry in logs] == [cause]
    assert "canary" not in str(logs)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "No order 1001"}, "No order 1001"),
        ({"message": "No order 1001", "error": True}, "No order 1001"),
        ({"error": {"code": "unknown_order", "message": "No order 1001"}}, "No order 1001"),
        ({"type": "about:blank", "title": "Not Found", "detail": "No order 1001"}, "No order 1001"),
        ("No order 1001", "No order 1001"),
        ({"detail": [{"loc": ["n"]}]}, '{"detail":[{"loc":["n"]}]}'),
        ({"n": 12345678901234567890123}, '{"n":12345678901234567890123}'),
        ({"message": "x" * 5000}, "x" * 1999 + "…"),
        ({"message": "bell\u0007 \ud83d\ude00"}, "bell  \U0001f600"),
    ],
)
async def test_what_a_handler_says_of_a_call_reaches_the_agent(
    body: Any, message: str, client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    raw = codecs.BOM_UTF8 + json.dumps(body).encode()
    with structlog.testing.capture_logs() as logs:
        async with serving(answer(422, raw)) as server:
            result = await call({"url": server.url}, client, ctx)
            assert len(server.seen) == 1
    assert result.result == {"error": {"code": "tool_error", "message": message}}
    assert [(entry["cause"], entry["outcome"]) for entry in logs] == [("tool_error", "tool_error")]
    assert message not in str(logs)


async def test_bad_args_are_not_sent(client: httpx.AsyncClient, ctx: ToolContext) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with serving() as server:
        written = {"url": server.url, "parameters": schema}
        result = await call(written, client, ctx, {"n": "canary"})
        assert result.outcome is Outcome.BAD_ARGS
        assert result.result["error"]["message"].endswith("n: integer type")
        assert "canary" not in str(result)
        assert (await call(written, client, ctx, ["no"])).outcome is Outcome.BAD_ARGS
        missing = await call(written, client, ctx, {})
        assert missing.result["error"]["message"].endswith("the arguments: missing n")
        assert server.connections == 0


async def test_a_schema_elsewhere_is_never_fetched(
    client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    async with serving(answer(200, {})) as server:
        written = {"url": server.url, "parameters": {"$ref": f"{server.url}/schema.json"}}
        assert (await call(written, client, ctx, {})).outcome is Outcome.CRASHED
        assert server.connections == 0


async def test_a_fallback_stands_in(client: httpx.AsyncClient, ctx: ToolContext) -> None:
    async with serving(answer(404)) as server:
        written = {"url": server.url, "fallback_result": {"sorry": True}}
        result = await call(written, client, ctx)
        assert result == ToolResult("call-1", {"sorry": True}, Outcome.FALLBACK)
        null = await call({"url": server.url, "fallback_result": None}, client, ctx)
        assert null == ToolResult("call-1", None, Outcome.FALLBACK)


async def test_a_cancelled_call_lets_go_of_its_connection(
    client: httpx.AsyncClient, ctx: ToolContext
) -> None:
    asked = asyncio.Event()

    async def never(_seen: Seen) -> bytes:
        asked.set()
        return await hang(_seen)

    async with serving(never) as server:
        task = asyncio.ensure_future(call({"url": server.url}, client, ctx))
        await asyncio.wait_for(asked.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_trace_headers_are_passed_on(client: httpx.AsyncClient, ctx: ToolContext) -> None:
    async with serving(answer(200, 1)) as server:
        tools = http_tools(
            {"lookup": {"url": server.url}},
            client,
            timeout=10,
            propagate=lambda headers: headers.update(traceparent="00-1-2-01"),
        )
        await ToolExecutor(Registry(tools)).run(ToolCall("c", "lookup", {}), ctx)
        assert server.seen[0].headers["traceparent"] == "00-1-2-01"


async def test_every_fault_of_the_configuration_is_told_without_values(
    client: httpx.AsyncClient,
) -> None:
    written = {
        "no-dash": {"url": "https://a.example.com"},
        "scheme": {"url": "ftp://canary.example.com"},
        "port": {"url": "https://a.example.com:canary"},
        "userinfo": {"url": "https://canary:canary@a.example.com"},
        "secret": {"url": "https://a.example.com", "secret": "canaryxx!x"},
        "empty": {"url": "https://a.example.com", "secret": "whsec_"},
        "header": {"url": "https://a.example.com", "headers": {"X-A": "canary\r\nX-B: 1"}},
        "ours": {"url": "https://a.example.com", "headers": {"Webhook-ID": "canary"}},
        "schema": {"url": "https://a.example.com", "parameters": {"type": "canary"}},
        "time": {"url": "https://a.example.com", "timeout": -1, "retries": 99},
        "typo": {"url": "https://a.example.com", "timeuot": "canary"},
        "text": "canary",
        "missing": {},
    }
    with pytest.raises(ConfigurationError) as caught:
        http_tools(written, client, timeout=10)
    faults = caught.value.faults
    assert all(fault.startswith("RELAY_HTTP_TOOLS: ") for fault in faults)
    assert "canary" not in str(faults)
    assert len(faults) == len(written) + 1
    assert "RELAY_HTTP_TOOLS: userinfo.url: holds a credential; put it into headers" in faults
    assert "RELAY_HTTP_TOOLS: ours.headers: may not set webhook-id" in faults


async def test_no_secret_shows_in_a_tool(client: httpx.AsyncClient) -> None:
    written = {
        "url": "https://a.example.com:8443/canary?k=canary",
        "secret": SECRET,
        "headers": {"authorization": "canary"},
        "fallback_result": "canary",
    }
    registry = Registry(http_tools({"lookup": written}, client, timeout=10))
    (row,) = registry.describe()
    assert row.origin == "https://a.example.com:8443"
    shown = repr(registry["lookup"]) + repr(vars(registry["lookup"])["_spec"]) + repr(row)
    assert "canary" not in shown
    assert SECRET not in shown
