from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from app.examples.support_tools import check_order_status
from app.protocol.principal import CallType, Principal
from app.protocol.tool import Outcome, ToolCall, ToolResult
from app.tools import Fallback, Registry, ToolContext, ToolError, ToolExecutor, ToolFailed, tool
from app.tools.declare import FunctionTool
from app.tools.threads import DaemonThreads
from blackbox_relay.causes import Cause, McpLoss
from tests.support.gateway import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-1f6e"
SOURCE = Path(__file__).read_text().splitlines()


def runner(function: Callable[..., Any], threads: DaemonThreads, **options: Any) -> ToolExecutor:
    made = FunctionTool(tool(name="probe")(function), threads)
    if "fallback" in options:
        made.fallback_result = options.pop("fallback")
    return ToolExecutor(Registry([made]), **options)


async def run(
    function: Callable[..., Any],
    threads: DaemonThreads,
    ctx: ToolContext,
    args: Any = None,
    **options: Any,
) -> ToolResult:
    return await runner(function, threads, **options).run(ToolCall("id-1", "probe", args), ctx)


async def test_an_async_tool_answers(ctx: ToolContext, threads: DaemonThreads) -> None:
    registry = Registry([FunctionTool(check_order_status, threads)])
    call = ToolCall("id-9", "check_order_status", {"order_number": "#1001"})
    result = await ToolExecutor(registry).run(call, ctx)
    assert result.id == "id-9"
    assert result.outcome is Outcome.OK
    assert result.result["status"] == "shipped"


async def test_the_example_knows_what_it_does_not_know(
    ctx: ToolContext, threads: DaemonThreads
) -> None:
    runner_ = ToolExecutor(Registry([FunctionTool(check_order_status, threads)]))
    call = ToolCall("id", "check_order_status", {"order_number": "a-9999"})
    assert (await runner_.run(call, ctx)).result == {
        "found": False,
        "orderNumber": "A-9999",
        "callType": "chat",
    }


async def test_a_sync_tool_runs_in_a_thread_with_its_context(
    ctx: ToolContext, threads: DaemonThreads
) -> None:
    structlog.contextvars.bind_contextvars(session="s-1")

    def probe(ctx: ToolContext) -> dict[str, Any]:
        return {
            "thread": threading.current_thread() is threading.main_thread(),
            "who": ctx.principal.subject,
            "bound": structlog.contextvars.get_contextvars().get("session"),
        }

    result = await run(probe, threads, ctx)
    structlog.contextvars.clear_contextvars()
    assert result.result == {"thread": False, "who": "customer-7", "bound": "s-1"}


async def test_an_unknown_tool_is_answered_and_counted_under_no_name_of_theirs(
    ctx: ToolContext,
) -> None:
    heard: list[tuple[str, Outcome]] = []
    made = ToolExecutor(
        Registry(), on_finished=lambda name, outcome, _: heard.append((name, outcome))
    )
    with structlog.testing.capture_logs() as logs:
        result = await made.run(ToolCall("x", "\x1b[31mevil\r\n", {}), ctx)
    assert result.result == {"error": {"code": "unknown", "message": "There is no such tool."}}
    assert heard == [("unregistered", Outcome.UNKNOWN)]
    assert logs == [{"event": "tool_unknown", "tool": None, "log_level": "warning"}]


async def test_bad_args_never_reach_the_function(ctx: ToolContext, threads: DaemonThreads) -> None:
    called = []

    def probe(number: int) -> None:
        called.append(number)

    result = await run(probe, threads, ctx, {"number": CANARY})
    assert result.outcome is Outcome.BAD_ARGS
    assert result.result["error"]["code"] == "bad_args"
    assert "number: int type" in result.result["error"]["message"]
    assert CANARY not in str(result)
    assert called == []


def raises(error: BaseException) -> Callable[[], None]:
    def probe() -> None:
        raise error

    return probe


@pytest.mark.parametrize(
    "error",
    [
        ValueError(CANARY),
        TimeoutError(CANARY),
        KeyboardInterrupt(CANARY),
        StopIteration(CANARY),
        asyncio.CancelledError(CANARY),
        BaseExceptionGroup(CANARY, [ValueError(CANARY)]),
        RecursionError(CANARY),
        ToolFailed("a_word_of_the_tool"),
        SystemExit(CANARY),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_crash_tells_nobody_its_text(
    error: BaseException, ctx: ToolContext, threads: DaemonThreads
) -> None:
    heard: list[tuple[str, Outcome]] = []
    with structlog.testing.capture_logs() as logs:
        result = await run(
            raises(error),
            threads,
            ctx,
            on_finished=lambda name, outcome, _: heard.append((name, outcome)),
        )
    assert result.result == {"error": {"code": "crashed", "message": "The tool failed."}}
    assert heard == [("probe", Outcome.CRASHED)]
    assert len(logs) == 1
    assert logs[0]["tool"] == "probe"
    assert CANARY not in str(logs)


async def test_a_tool_may_say_what_is_wrong(ctx: ToolContext, threads: DaemonThreads) -> None:
    with structlog.testing.capture_logs() as logs:
        result = await run(raises(ToolError("No order 1001")), threads, ctx)
        empty = await run(raises(ToolError("")), threads, ctx)
    assert result.result == {"error": {"code": "tool_error", "message": "No order 1001"}}
    assert result.outcome is Outcome.TOOL_ERROR
    assert empty.result == {"error": {"code": "tool_error", "message": "The tool failed."}}
    assert {entry["cause"] for entry in logs} == {"tool_error"}
    assert "1001" not in str(logs)


async def test_the_log_says_where_a_tool_raised(ctx: ToolContext, threads: DaemonThreads) -> None:
    with structlog.testing.capture_logs() as logs:
        await run(raises(KeyError(CANARY)), threads, ctx)
    (entry,) = logs
    assert entry["cause"] == "tool_raised"
    assert entry["exception"] == "KeyError"
    place, line = entry["at"].split(":")
    assert place == Path(__file__).name
    assert "raise error" in SOURCE[int(line) - 1]
    assert CANARY not in str(logs)


def test_every_cause_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    missing = [word for word in (*Cause, *McpLoss) if f"`{word.value}`" not in text]
    assert missing == []


async def test_a_slow_async_tool_is_cancelled_at_its_time(
    ctx: ToolContext, threads: DaemonThreads
) -> None:
    cancelled = asyncio.Event()

    async def probe() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    result = await run(probe, threads, ctx, timeout=0.02)
    assert result.result == {
        "error": {"code": "timeout", "message": "The tool took too long to answer."}
    }
    assert cancelled.is_set()


async def test_a_tool_has_its_own_timeout(ctx: ToolContext, threads: DaemonThreads) -> None:
    @tool(timeout=0.02)
    async def probe() -> None:
        await asyncio.Event().wait()

    made = ToolExecutor(Registry([FunctionTool(probe, threads)]), timeout=3600)
    result = await made.run(ToolCall("a", "probe", {}), ctx)
    assert result.outcome is Outcome.TIMEOUT


async def test_hanging_sync_tools_are_bounded_and_others_still_answer(ctx: ToolContext) -> None:
    release = threading.Event()
    running: list[int] = []

    def probe() -> None:
        running.append(1)
        release.wait(30)

    threads = DaemonThreads(2)
    made = runner(probe, threads, timeout=0.05)
    results = await asyncio.gather(
        *(made.run(ToolCall(str(number), "probe", {}), ctx) for number in range(6))
    )
    assert {result.outcome for result in results} == {Outcome.TIMEOUT}
    assert len(running) == 2
    release.set()

    def free() -> str:
        return "free"

    assert (await run(free, threads, ctx)).result == "free"


async def test_cancelling_a_call_cancels_it(ctx: ToolContext, threads: DaemonThreads) -> None:
    heard: list[Outcome] = []
    begun = asyncio.Event()

    async def probe() -> None:
        begun.set()
        await asyncio.Event().wait()

    made = runner(probe, threads, on_finished=lambda _n, outcome, _s: heard.append(outcome))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(made.run(ToolCall("a", "probe", {}), ctx))
        await asyncio.wait_for(begun.wait(), 10)
        task.cancel()
    assert task.cancelled()
    assert heard == [Outcome.CANCELLED]


@dataclasses.dataclass
class Found:
    when: dt.date
    score: float


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (None, None),
        (Found(dt.date(2024, 5, 1), float("nan")), {"when": "2024-05-01", "score": None}),
        ({1: b"raw", "set": {7}}, {"1": "raw", "set": [7]}),
        (("a", 1.5), ["a", 1.5]),
    ],
)
async def test_results_become_plain_json(
    answer: Any, result: Any, ctx: ToolContext, threads: DaemonThreads
) -> None:
    def probe() -> Any:
        return answer

    assert await run(probe, threads, ctx) == ToolResult("id-1", result, Outcome.OK)


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "answer", [object(), LOOP, 10**4300, "\ud800", b"\xff"], ids=lambda a: type(a).__name__
)
async def test_a_result_that_is_not_json_is_a_crash(
    answer: Any, ctx: ToolContext, threads: DaemonThreads
) -> None:
    def probe() -> Any:
        return answer

    assert (await run(probe, threads, ctx)).outcome is Outcome.CRASHED


async def test_a_result_is_bounded(ctx: ToolContext, threads: DaemonThreads) -> None:
    def probe(size: int) -> str:
        return "x" * size

    fits = await run(probe, threads, ctx, {"size": 98}, max_result=100)
    assert fits.outcome is Outcome.OK
    over = await run(probe, threads, ctx, {"size": 99}, max_result=100)
    assert over.result == {"error": {"code": "crashed", "message": "The tool failed."}}


async def test_a_fallback_stands_in_for_every_failure(
    ctx: ToolContext, threads: DaemonThreads
) -> None:
    def probe(number: int) -> None:
        raise ValueError(CANARY, number)

    for args in ({"number": 1}, {"number": "no"}):
        result = await run(probe, threads, ctx, args, fallback=Fallback(None))
        assert result == ToolResult("id-1", None, Outcome.FALLBACK)


async def test_a_wrapped_coroutine_is_awaited(ctx: ToolContext, threads: DaemonThreads) -> None:
    async def inner() -> str:
        return "awaited"

    def probe() -> Any:
        return inner()

    assert (await run(probe, threads, ctx)).result == "awaited"


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_whatever_a_tool_returns_there_is_one_result(answer: Any) -> None:
    async def probe() -> Any:
        return answer

    async def once() -> ToolResult:
        context = ToolContext("s", "a", CallType.CHAT, Principal("p", "open"))
        return await run(probe, DaemonThreads(1), context)

    result = asyncio.run(once())
    assert result.id == "id-1"
    assert result.outcome in (Outcome.OK, Outcome.CRASHED)
