"""What is shown for an approval is what the tool gets; what does not fit is not asked about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from app.protocol.tool import Outcome, ToolCall, ToolResult
from app.tools import Registry, ToolExecutor, tool
from app.tools.declare import FunctionTool
from app.tools.executor import CheckedArguments
from app.tools.http import http_tools

if TYPE_CHECKING:
    from app.tools import ToolContext
    from app.tools.threads import DaemonThreads

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def refunding(threads: DaemonThreads, got: list[Any]) -> FunctionTool:
    async def refund(order: str, cents: int = 100, note: str | None = None) -> None:
        """Refund."""
        got.append({"order": order, "cents": cents, "note": note})

    return FunctionTool(tool(refund), threads)


async def test_a_function_gets_what_was_shown(ctx: ToolContext, threads: DaemonThreads) -> None:
    got: list[Any] = []
    executor = ToolExecutor(Registry([refunding(threads, got)]))
    call = ToolCall("1", "refund", '{"order": "A-1", "cents": 250.0}')
    shown = executor.check(call)
    assert isinstance(shown, CheckedArguments)
    assert shown.args["cents"] == 250
    assert type(shown.args["cents"]) is int
    assert got == []
    await executor.run(call, ctx)
    assert {key: got[0][key] for key in shown.args} == shown.args


async def test_what_does_not_fit_is_an_error_for_the_agent_and_counted(
    threads: DaemonThreads,
) -> None:
    counted: list[tuple[str, Outcome]] = []
    executor = ToolExecutor(
        Registry([refunding(threads, [])]),
        on_finished=lambda name, outcome, _: counted.append((name, outcome)),
    )
    bad = executor.check(ToolCall("1", "refund", {"cents": "many"}))
    unknown = executor.check(ToolCall("2", "refnud", {}))
    assert isinstance(bad, ToolResult)
    assert isinstance(unknown, ToolResult)
    declined = executor.not_approved(ToolCall("3", "refund", {}), "No.", 1.0)
    assert declined.result == {"error": {"code": "not_approved", "message": "No."}}
    assert counted == [
        ("refund", Outcome.BAD_ARGS),
        ("unregistered", Outcome.UNKNOWN),
        ("refund", Outcome.NOT_APPROVED),
    ]


async def test_an_http_tools_arguments_are_shown_as_its_handler_gets_them() -> None:
    async with httpx.AsyncClient() as client:
        written = {"pay": {"url": "https://x.example", "parameters": SCHEMA}}
        executor = ToolExecutor(Registry(http_tools(written, client, timeout=1)))
        shown = executor.check(ToolCall("1", "pay", {"n": 7.0}))
        assert isinstance(shown, CheckedArguments)
        assert (shown.args, type(shown.args["n"])) == ({"n": 7}, int)
        refused = executor.check(ToolCall("2", "pay", {"n": "x"}))
        assert isinstance(refused, ToolResult)
        assert refused.outcome is Outcome.BAD_ARGS
