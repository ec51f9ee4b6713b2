"""What MCP servers really list and answer, by a server that is written by hand."""

from __future__ import annotations

import asyncio
import codecs
import json
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from app.protocol.tool import Outcome, ToolCall, ToolResult
from app.tools import Registry, ToolExecutor
from app.tools.mcp_server import MAX_PAGES
from tests.egress.server import answer, closed_port, serving
from tests.support.gateway import ROOT
from tests.tools.mcp_tools import mcp_tools
from tests.tools.raw_mcp import OverHttp, Script, text, tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.tools import ToolContext
    from app.tools.mcp import McpTools
    from tests.egress.server import Answer, Seen

NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@asynccontextmanager
async def running(written: dict[str, Any], **options: Any) -> AsyncIterator[McpTools]:
    async with mcp_tools(written, **options) as tools:
        await asyncio.wait_for(tools.discovered(), 30)
        yield tools


@asynccontextmanager
async def stdio(script: Script, **options: Any) -> AsyncIterator[McpTools]:
    command = {
        "command": sys.executable,
        "args": ["-m", "tests.tools.raw_mcp", json.dumps(asdict(script))],
        "cwd": str(ROOT),
    }
    async with running({"raw": command}, **options) as tools:
        yield tools


@asynccontextmanager
async def http(answers: Answer, **options: Any) -> AsyncIterator[McpTools]:
    async with (
        serving(answers) as server,
        running({"raw": {"url": f"{server.url}/mcp"}}, **options) as tools,
    ):
        yield tools


async def call(tools: McpTools, ctx: ToolContext, name: str, args: Any = None) -> ToolResult:
    return await ToolExecutor(Registry([], [tools])).run(ToolCall("id-1", name, args), ctx)


def _n(rule: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"n": rule}}


def named(logs: list[Any], event: str) -> list[dict[str, Any]]:
    return [entry for entry in logs if entry["event"] == event]


async def test_structured_content_that_was_declared_may_be_missing(ctx: ToolContext) -> None:
    script = Script(
        [
            *(tool(name, outputSchema=NUMBER) for name in ("texts", "fits", "misfit", "nothing")),
            tool("elsewhere", outputSchema=_n({"$ref": "https://example.com/schema.json"})),
            tool("broken", outputSchema=_n({"type": "no-type"})),
        ],
        {
            "texts": text('{"n": 7}'),
            "fits": text("seven", structuredContent={"n": 7}),
            "misfit": text("seven", structuredContent={"n": "canary"}),
            "nothing": {"content": []},
            "elsewhere": text("seven", structuredContent={"n": 7}),
            "broken": text("seven", structuredContent={"n": 7}),
        },
    )
    with structlog.testing.capture_logs() as logs:
        async with stdio(script) as tools:
            for _ in range(2):
                assert (await call(tools, ctx, "texts")).result == '{"n": 7}'
            assert (await call(tools, ctx, "nothing")).result == ""
            for name in ("fits", "elsewhere", "broken"):
                assert (await call(tools, ctx, name)).result == {"n": 7}
            assert (await call(tools, ctx, "misfit")).outcome is Outcome.CRASHED
    assert [entry["tool"] for entry in named(logs, "mcp_output_schema")] == [
        "texts",
        "nothing",
        "elsewhere",
    ]
    (failed,) = named(logs, "tool_failed")
    assert failed["cause"] == "mcp_output_schema"
    assert "canary" not in str(logs)
    (unchecked,) = named(logs, "mcp_schema_not_checked")
    assert (unchecked["tool"], unchecked["server"]) == ("broken", "raw")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (text("No order 1001: numbers start with A-", isError=True), "No order 1001: numbers st"),
        (text("line\x00 one\nline two", isError=True), "line  one\nline two"),
        (text("x" * 100_000, isError=True), "x" * 1999 + "…"),
        ({"content": [], "isError": True}, "The tool failed."),
        ({"content": [], "structuredContent": {"why": "late"}, "isError": True}, '{"why":"late"}'),
        ({"error": {"code": -32602, "message": "number is missing"}}, "number is missing"),
    ],
    ids=["text", "control", "long", "empty", "structured", "invalid-params"],
)
async def test_the_servers_own_error_reaches_the_agent(
    said: dict[str, Any], told: str, ctx: ToolContext
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with stdio(Script([tool("find")], {"find": said})) as tools:
            result = await call(tools, ctx, "find")
    assert result.outcome is Outcome.TOOL_ERROR
    assert result.result["error"]["code"] == "tool_error"
    assert result.result["error"]["message"].startswith(told)
    assert len(result.result["error"]["message"]) <= 2000
    (failed,) = named(logs, "tool_failed")
    assert failed["cause"] == "tool_error"
    assert told not in str(logs)


async def test_an_answered_error_is_no_time_out(ctx: ToolContext) -> None:
    said = {"error": {"code": -32001, "message": "canary"}}
    with structlog.testing.capture_logs() as logs:
        async with stdio(Script([tool("find")], {"find": said})) as tools:
            result = await call(tools, ctx, "find")
    assert result.result == {"error": {"code": "crashed", "message": "The tool failed."}}
    (failed,) = named(logs, "tool_failed")
    assert (failed["cause"], failed["code"]) == ("mcp_error", -32001)
    assert "canary" not in str(logs)


PATTERNS = {
    "type": "object",
    "properties": {
        "letters": {"type": "string", "pattern": "^\\p{L}+$"},
        "ahead": {"type": "string", "pattern": "^(?=a)b"},
        "again": {"type": "string", "pattern": "^(.)\\1$"},
        "plain": {"type": "string", "pattern": "^[a-z]+$"},
        "pattern": {"type": "string", "enum": ["a", "b"]},
    },
    "patternProperties": {"^(?!y)Ü": {"type": "integer"}, "^x": {"type": "integer"}},
    "additionalProperties": False,
}


async def test_patterns_without_a_linear_match_are_left_to_the_server(ctx: ToolContext) -> None:
    script = Script([tool("echo", PATTERNS)])
    with structlog.testing.capture_logs() as logs:
        async with stdio(script) as tools:
            fit = {"letters": "äé", "ahead": "z", "again": "z", "pattern": "b", "Ü": 1, "x1": 2}
            assert (await call(tools, ctx, "echo", fit)).result == {"got": fit}
            for bad in ({"plain": "A"}, {"letters": "7"}, {"pattern": "c"}, {"x1": "no"}):
                assert (await call(tools, ctx, "echo", bad)).outcome is Outcome.BAD_ARGS
    places = {entry["fault"].rsplit(" ", 1)[1] for entry in named(logs, "mcp_schema_not_checked")}
    assert places == {
        "$.properties.ahead.pattern",
        "$.properties.again.pattern",
        "$.patternProperties",
    }
    assert {entry["tool"] for entry in named(logs, "mcp_schema_not_checked")} == {"echo"}


async def test_a_schema_that_is_none_is_left_to_the_server(ctx: ToolContext) -> None:
    draft_7 = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"pair": {"type": "array", "items": [{"type": "integer"}]}},
    }
    script = Script([tool("echo", {"type": "object", "properties": {"a": {"type": 7}}})])
    async with stdio(script) as tools:
        assert (await call(tools, ctx, "echo", '{"a": 1}')).result == {"got": {"a": 1}}
        assert (await call(tools, ctx, "echo", [1])).outcome is Outcome.BAD_ARGS
    async with stdio(Script([tool("echo", draft_7)])) as tools:
        assert (await call(tools, ctx, "echo", {"pair": [1.0, "x"]})).result == {
            "got": {"pair": [1, "x"]}
        }
        assert (await call(tools, ctx, "echo", {"pair": ["x"]})).outcome is Outcome.BAD_ARGS


async def test_a_number_beyond_every_double_is_refused_by_name(ctx: ToolContext) -> None:
    said = {"content": [], "structuredContent": {"n": float("inf")}}
    script = Script([tool("far"), tool("echo")], {"far": said})
    # The script's own JSON knows no infinity: it is written as a number that none can hold.
    with structlog.testing.capture_logs() as logs:
        async with http(_infinite(OverHttp(script))) as tools:
            assert (await call(tools, ctx, "far")).outcome is Outcome.CRASHED
            refused = await call(tools, ctx, "echo", {"n": float("inf")})
    assert [entry["cause"] for entry in named(logs, "tool_failed")] == [
        "number_too_large",
        "bad_args",
    ]
    assert refused.result["error"]["message"].endswith("the arguments: the number is too large")


def _infinite(server: OverHttp) -> Any:
    def reply(seen: Any) -> bytes:
        made = server(seen)
        head, _, body = made.partition(b"\r\n\r\n")
        body = body.replace(b"Infinity", b"1.5e9999")
        return answer(200, body, content_type="application/json", **_session(head))

    return reply


def _session(head: bytes) -> dict[str, str]:
    found = [line for line in head.decode().split("\r\n") if line.startswith("mcp-session-id")]
    return {"mcp_session_id": found[0].split(": ")[1]} if found else {}


@pytest.mark.parametrize("cursor", ["", "again"])
async def test_an_empty_or_repeated_cursor_ends_the_list(cursor: str) -> None:
    raw = OverHttp(Script([tool("one")], cursor=cursor))
    async with http(raw) as tools:
        assert sorted(tools.tools()) == ["one"]
    assert raw.asked.count("tools/list") == (1 if cursor == "" else 2)


async def test_a_list_without_end_is_cut() -> None:
    raw = OverHttp(Script([tool("one")]))

    def ever_new(seen: Any) -> bytes:
        raw.script.cursor = f"page-{len(raw.asked)}"
        return raw(seen)

    async with http(ever_new) as tools:
        assert sorted(tools.tools()) == ["one"]
    assert raw.asked.count("tools/list") == MAX_PAGES


@pytest.mark.parametrize("refusal", [None, answer(404, b""), answer(404, b"gone")])
async def test_a_forgotten_session_is_begun_anew_and_the_call_repeated(
    refusal: bytes | None, ctx: ToolContext
) -> None:
    raw = OverHttp(Script([tool("echo")]), refusal)
    with structlog.testing.capture_logs() as logs:
        async with http(raw, first_pause=2) as tools:
            assert (await call(tools, ctx, "echo", {"a": 1})).outcome is Outcome.OK
            raw.restart()
            many = [call(tools, ctx, "echo", {"a": n}) for n in range(5)]
            results = await asyncio.wait_for(asyncio.gather(*many), 15)
    assert [result.result for result in results] == [{"got": {"a": n}} for n in range(5)]
    assert named(logs, "tool_failed") == []
    assert named(logs, "mcp_server_lost") == []
    assert len(named(logs, "mcp_session_renewed")) == 1


async def test_a_server_that_forgets_every_session_fails_a_call_once(ctx: ToolContext) -> None:
    raw = OverHttp(Script([tool("echo")]))

    def forgets_calls(seen: Any) -> bytes:
        if seen.method == "POST" and seen.json["method"] == "tools/call":
            raw.restart()
        return raw(seen)

    with structlog.testing.capture_logs() as logs:
        async with http(forgets_calls) as tools:
            result = await asyncio.wait_for(call(tools, ctx, "echo", {}), 15)
    assert result.outcome is Outcome.CRASHED
    assert named(logs, "tool_failed")[0]["cause"] == "mcp_error"
    assert raw.asked.count("tools/call") == 2


@pytest.mark.parametrize("coding", ["", "identity", "none", "utf-8"])
async def test_a_marked_answer_and_codings_that_are_none_are_read(
    coding: str, ctx: ToolContext
) -> None:
    raw = OverHttp(Script([tool("echo")]))
    raw.headers = {"content_encoding": coding}
    raw.mark = codecs.BOM_UTF8
    async with http(raw) as tools:
        assert (await call(tools, ctx, "echo", {"a": 1})).result == {"got": {"a": 1}}


async def test_why_a_server_is_lost_is_said_by_name() -> None:
    gone = f"http://127.0.0.1:{await closed_port()}"
    json_ = {"content_type": "application/json"}
    async with (
        serving(answer(200, b"\x1f\x8b", content_encoding="gzip", **json_)) as gzipped,
        serving(answer(401, b"")) as denied,
        serving(answer(503, b"")) as broken,
        serving(answer(200, b"<html>", **json_)) as page,
        serving(answer(307, b"", location="/")) as moved,
    ):
        expected = {
            "compressed": ({"url": gzipped.url}, {"answer_compressed"}),
            "denied": ({"url": denied.url}, {"http_4xx"}),
            "broken": ({"url": broken.url}, {"http_5xx"}),
            "moved": ({"url": moved.url}, {"http_3xx"}),
            "page": ({"url": page.url}, {"answer_invalid", "refused"}),
            "gone": ({"url": gone}, {"unreachable"}),
            "metadata": ({"url": "http://metadata.example.com"}, {"address_not_allowed"}),
            "absent": ({"command": "/no/such/command"}, {"command_not_found"}),
            "unfit": ({"command": str(ROOT / "README.md")}, {"command_not_executable"}),
            "leaves": (
                {"command": sys.executable, "args": ["-c", "pass"]},
                {"connection_closed"},
            ),
        }

        async def resolve(host: str, _port: int) -> list[str]:
            return ["169.254.169.254" if host == "metadata.example.com" else "127.0.0.1"]

        with structlog.testing.capture_logs() as logs:
            written = {name: server for name, (server, _) in expected.items()}
            async with running(written, resolve=resolve, first_pause=60):
                pass
    found = {entry["server"]: entry["cause"] for entry in named(logs, "mcp_server_lost")}
    assert found.keys() == expected.keys()
    wrong = {name: found[name] for name in found if found[name] not in expected[name][1]}
    assert wrong == {}


async def test_a_call_while_the_server_is_away_is_answered_at_once(ctx: ToolContext) -> None:
    raw = OverHttp(Script([tool("echo")]))
    away = asyncio.Event()

    def maybe(seen: Seen) -> bytes:
        return answer(503, b"") if away.is_set() else raw(seen)

    with structlog.testing.capture_logs() as logs:
        async with http(maybe) as tools:
            away.set()
            begun = time.monotonic()
            result = await call(tools, ctx, "echo", {})
            assert time.monotonic() - begun < 10
    assert result.outcome is Outcome.CRASHED
    assert named(logs, "tool_failed")[0]["cause"] == "mcp_error"
