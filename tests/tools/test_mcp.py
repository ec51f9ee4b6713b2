"""Servers made with the official SDK, in processes of their own, over both transports."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from app.egress import AllowedHosts
from app.protocol.tool import Outcome, ToolCall, ToolResult
from app.tools import Registry, ToolExecutor
from tests.egress.server import answer, closed_port, serving
from tests.tools.mcp_tools import mcp_tools

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from app.tools import ToolContext
    from app.tools.mcp import McpTools

SERVER = str(Path(__file__).parent / "mcp_server.py")
EVERY = ["add", "fail", "find_order", "hang", "large", "leave", "who"]


def running(written: dict[str, Any], **options: Any) -> AbstractAsyncContextManager[McpTools]:
    return mcp_tools(written, **{"refresh": 0.2, **options})


@asynccontextmanager
async def http_server(port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(sys.executable, SERVER, "http", str(port))
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process brings about."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - no event crosses processes
            await asyncio.sleep(0.02)


async def until_it_answers(tools: McpTools, ctx: ToolContext) -> None:
    async with asyncio.timeout(60):
        while (await call(tools, ctx, "add", a=1, b=1)).outcome is not Outcome.OK:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def call(tools: McpTools, ctx: ToolContext, name: str, **args: Any) -> ToolResult:
    return await ToolExecutor(Registry([], [tools])).run(ToolCall("id-1", name, args), ctx)


async def every_kind_of_answer(tools: McpTools, ctx: ToolContext) -> None:
    assert (await call(tools, ctx, "add", a=1, b=2)).result == {"result": 3}
    assert (await call(tools, ctx, "find_order", number="7")).result == "order 7"
    bad = await call(tools, ctx, "add", a="canary")
    assert bad.outcome is Outcome.BAD_ARGS
    assert "canary" not in str(bad)
    failed = await call(tools, ctx, "fail")
    assert failed.result["error"]["code"] == "tool_error"
    assert failed.result["error"]["message"] == "Error executing tool fail"
    assert (await call(tools, ctx, "large")).outcome is Outcome.CRASHED
    runner = ToolExecutor(Registry([], [tools]))
    hanging = asyncio.ensure_future(runner.run(ToolCall("id-2", "hang", {}), ctx))
    together = [call(tools, ctx, "add", a=n, b=n) for n in range(20)]
    results = await asyncio.gather(*together)
    assert [result.result for result in results] == [{"result": 2 * n} for n in range(20)]
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging


async def test_tools_over_stdio(
    ctx: ToolContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_BLACKBOX_API_KEY", "canary-key")
    note = tmp_path / "pid"
    written = {
        "orders": {
            "command": sys.executable,
            "args": [SERVER, "stdio", str(note)],
            "env": {"NOTE": "given"},
            "share_context": True,
        }
    }
    async with running(written) as tools:
        await until(lambda: sorted(tools.tools()) == EVERY)
        rows = {row.name: row for row in Registry([], [tools]).describe()}
        assert rows["find_order"].description == "Find an order."
        assert rows["find_order"].origin.endswith("(orders: find-order)")
        assert rows["add"].parameters["required"] == ["a", "b"]
        await every_kind_of_answer(tools, ctx)

        known = (await call(tools, ctx, "who")).result
        assert known["context"]["subject"] == "customer-7"
        assert known["context"]["additionalData"] == {"plan": "gold"}
        assert known["relay_variables"] == []
        assert known["note"] == "given"

        assert (await call(tools, ctx, "leave")).outcome is Outcome.CRASHED
        await until_it_answers(tools, ctx)
        again = (await call(tools, ctx, "who")).result
        assert again["pid"] != known["pid"]
        child = int(note.read_text())
        os.kill(child, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


async def test_tools_over_http_come_with_their_server_and_answer_while_it_is_gone(
    ctx: ToolContext,
) -> None:
    port = await closed_port()
    async with running({"orders": {"url": f"http://127.0.0.1:{port}/mcp"}}) as tools:
        await asyncio.wait_for(tools.discovered(), 30)
        assert (await call(tools, ctx, "add", a=1, b=2)).outcome is Outcome.UNKNOWN
        async with http_server(port):
            await until(lambda: sorted(tools.tools()) == EVERY)
            await every_kind_of_answer(tools, ctx)
            assert (await call(tools, ctx, "who")).result["context"] is None
        gone = await call(tools, ctx, "add", a=1, b=2)
        assert gone.result == {"error": {"code": "crashed", "message": "The tool failed."}}
        assert sorted(tools.tools()) == EVERY
        async with http_server(port):
            await until_it_answers(tools, ctx)


async def test_a_slow_tool_is_timed_out_by_its_servers_setting(ctx: ToolContext) -> None:
    written = {"orders": {"command": sys.executable, "args": [SERVER, "stdio"], "timeout": 0.3}}
    async with running(written) as tools:
        await until(lambda: "hang" in tools.tools())
        assert (await call(tools, ctx, "hang")).outcome is Outcome.TIMEOUT


async def test_names_are_prefixed_and_picked_as_configured(ctx: ToolContext) -> None:
    stdio = {"command": sys.executable, "args": [SERVER, "stdio"]}
    written = {
        "one": {**stdio, "tools": ["add", "find-order"]},
        "two": {**stdio, "tools": ["add"], "prefix": "x"},
    }
    async with running(written, taken={"find_order"}) as tools:
        await until(lambda: len(tools.tools()) == 3)
        assert sorted(tools.tools()) == ["add", "one_find_order", "x_add"]
        assert (await call(tools, ctx, "x_add", a=2, b=2)).result == {"result": 4}


@pytest.mark.parametrize(
    "written",
    [
        {"command": "/no/such/command"},
        {"command": sys.executable, "args": ["-c", "print('no JSON-RPC'); raise SystemExit(1)"]},
    ],
    ids=["absent", "leaves"],
)
async def test_a_server_that_never_works_is_tried_again_and_hurts_nobody(
    written: dict[str, Any],
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with running({"broken": written}) as tools:
            await until(lambda: len(logs) >= 2)
            assert tools.tools() == {}
    assert {entry["event"] for entry in logs} == {"mcp_server_lost"}


async def test_metadata_addresses_and_redirects_lead_nowhere() -> None:
    async def metadata(_host: str, _port: int) -> list[str]:
        return ["169.254.169.254"]

    async with serving() as inner:
        go = answer(307, b"", location=f"{inner.url}/mcp")
        async with serving(go) as server:
            written = {
                "moved": {"url": f"{server.url}/mcp"},
                "cloud": {"url": "http://metadata.example.com/mcp"},
            }
            with structlog.testing.capture_logs() as logs:
                async with running({"moved": written["moved"]}):
                    await until(lambda: bool(logs))
                async with running(
                    {"cloud": written["cloud"]}, resolve=metadata, allowed=AllowedHosts()
                ):
                    await until(lambda: len({entry["server"] for entry in logs}) == 2)
            assert inner.connections == 0
            assert server.connections > 0


async def test_an_endless_answer_is_cut() -> None:
    endless = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + b" " * 3_000_000
    async with serving(endless) as server:
        with structlog.testing.capture_logs() as logs:
            async with running({"large": {"url": f"{server.url}/mcp"}}):
                await until(lambda: bool(logs))
        assert logs[0]["event"] == "mcp_server_lost"
