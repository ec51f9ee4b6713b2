"""Tools in whole conversations: each request is answered once, whatever its tool does."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.e2e.answering import answers, calls
from tests.e2e.shop import SECRET
from tests.support.browser import browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway
    from tests.support.outside import Outside

pytestmark = pytest.mark.asyncio(loop_scope="package")

URL = "/ws/counter"


async def asked(
    calm: Gateway, vendor: Emulator, tool: str, **script: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Let the counter ask for a tool once; return what the vendor was answered, and its report."""
    marker = uuid4().hex
    settings: dict[str, Any] = {"count": 1, "toolEvery": 1, "tool": tool} | script
    async with browser(calm.ws + URL) as page:
        await page.wish(marker=marker, **settings)
        await page.connected()
        result: dict[str, Any] = (await page.frame("conversationResult"))["result"]
        assert await page.closed() == 1000
    assert SECRET not in "".join(page.raw)
    return await answers(vendor, marker), result


@pytest.mark.parametrize(
    ("tool", "result"),
    [("order", {"order": "1001"}), ("slow_order", "slow 1001")],
    ids=["async", "sync"],
)
async def test_function_answers(calm: Gateway, vendor: Emulator, tool: str, result: Any) -> None:
    before = await calls(calm, tool, "ok")
    assert (await asked(calm, vendor, tool))[0] == [result]
    assert await calls(calm, tool, "ok") == before + 1


async def test_tool_knows_for_whom_it_runs_and_no_browser_can_forge_it(
    calm: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    async with browser(calm.ws + URL) as page:
        await page.wish(marker=marker, count=1, toolEvery=1, tool="who_asks", subject="admin")
        session = await page.connected()
        await page.closed()
    # The counter always sends an order number, which this tool does not take.
    assert (await answers(vendor, marker))[0]["error"]["code"] == "bad_args"
    assert calm.lines("session_started", session=session)[0]["subject"].startswith("anonymous:")


@pytest.mark.parametrize(
    ("tool", "outcome", "code"),
    [
        ("crash", "crashed", "crashed"),
        ("crash_in_a_thread", "crashed", "crashed"),
        ("not_json", "crashed", "crashed"),
        ("never", "timeout", "timeout"),
        ("never_in_a_thread", "timeout", "timeout"),
        ("who_asks", "bad_args", "bad_args"),
        ("hook_moved", "crashed", "crashed"),
        ("hook_denied", "crashed", "crashed"),
        ("hook_private", "crashed", "crashed"),
        ("hook_metadata", "crashed", "crashed"),
    ],
)
async def test_failure_is_an_error_result_without_the_exceptions_text(
    calm: Gateway, vendor: Emulator, outside: Outside, tool: str, outcome: str, code: str
) -> None:
    before, lines = await calls(calm, tool, outcome), len(calm.lines("tool_failed", tool=tool))
    hooked = len(outside.calls)
    given, report = await asked(calm, vendor, tool, expect=0, toolTimeout=20)
    assert [answer["error"]["code"] for answer in given] == [code]
    assert SECRET not in json.dumps(given)
    assert "secret" not in json.dumps(given)
    assert report["toolErrors"]
    assert await calls(calm, tool, outcome) == before + 1
    await until(lambda: len(calm.lines("tool_failed", tool=tool)) == lines + 1)
    assert SECRET not in calm.log
    line = calm.lines("tool_failed", tool=tool)[-1]
    raised = {"exception", "at"} if line["cause"] == "tool_raised" else set()
    known = {"tool", "outcome", "cause", *raised}
    assert line.keys() - {"event", "level", "logger", "timestamp"} == known
    assert "1001" not in line["cause"]
    assert len(outside.calls) == hooked


@pytest.mark.parametrize("fault", ["bad_args", "unknown_tool"])
async def test_what_no_tool_can_answer_is_answered_at_once(
    calm: Gateway, vendor: Emulator, fault: str
) -> None:
    marker = uuid4().hex
    async with browser(f"{calm.ws}/ws/echo") as page:
        await page.wish(marker=marker, fault=fault, tool="order", echoUser=False)
        await page.connected()
        await page.talks()
        await page.terminate()
    given = await answers(vendor, marker)
    code = {"bad_args": "bad_args", "unknown_tool": "unknown"}[fault]
    assert [answer["error"]["code"] for answer in given] == [code] * (
        4 if code == "bad_args" else 1
    )
    assert await calls(calm, "no_such_tool", "unknown") == 0


async def test_repeated_id_gets_the_same_answer_without_a_second_run(
    calm: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    async with browser(f"{calm.ws}/ws/echo") as page:
        await page.wish(marker=marker, fault="duplicate_tool_id", tool="nap", toolTimeout=3)
        session = await page.connected()
        await page.talks()
        await page.terminate()
    conversation = await vendor.conversation(marker, ended=True)
    given = [
        kept["frame"]["content"]["result"]
        for kept in conversation["received"]
        if kept["frame"]["type"] == "websocketToolResponse"
    ]
    assert len(set(given)) == 1
    assert conversation["toolAnswers"] == {"call_twice": len(given)}
    await until(lambda: calm.lines("session_ended", session=session))
    assert len(calm.lines("repeated_tool_id", session=session)) == 1


async def test_eight_tools_run_at_once_and_the_ninth_waits(calm: Gateway, vendor: Emulator) -> None:
    given, report = await asked(calm, vendor, "nap", count=12, toolTimeout=20)
    assert report["toolCalls"] == 12
    spans = sorted(tuple(map(float, answer.split()[1:])) for answer in given)
    assert len(spans) == 12
    at_once = max(sum(began <= instant < ended for began, ended in spans) for instant, _ in spans)
    assert at_once == 8


async def test_slow_tool_delays_no_frame(calm: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    async with browser(calm.ws + URL) as page:
        await page.wish(
            marker=marker, count=20, toolEvery=20, tool="never", toolTimeout=20, expect=30
        )
        await page.connected()
        for number in range(1, 31):
            await page.say(f"#{number}")
            while (await page.frame("text"))["content"]["source"] != "user":
                pass
        report = (await page.frame("conversationResult"))["result"]
    assert report["user"]["ok"]
    assert [answer["error"]["code"] for answer in await answers(vendor, marker)] == ["timeout"]
    kinds = await vendor.kinds(marker)
    assert kinds.index("incomingChatMessage") < kinds.index("websocketToolResponse")


@pytest.mark.parametrize("tool", ["never", "stubborn", "never_in_a_thread", "hook_hangs"])
async def test_tool_that_still_runs_at_the_end_holds_nothing_up(
    calm: Gateway, vendor: Emulator, tool: str
) -> None:
    marker = uuid4().hex
    before = await calls(calm, tool, "cancelled")
    async with browser(calm.ws + URL) as page:
        await page.wish(marker=marker, count=1, toolEvery=1, tool=tool, expect=5)
        await page.connected()
        await page.frame("text")
        began = time.monotonic()
        assert await page.terminate() == 1000
        assert time.monotonic() - began < 6, "the end waited for the tool"
    assert await answers(vendor, marker) == []

    async def is_counted() -> bool:
        return await calls(calm, tool, "cancelled") > before

    await until(is_counted)
    assert await calls(calm, tool, "cancelled") == before + 1


async def test_stubborn_tool_is_answered_for_in_time(calm: Gateway, vendor: Emulator) -> None:
    began = time.monotonic()
    given, _ = await asked(calm, vendor, "stubborn", toolTimeout=20)
    assert [answer["error"]["code"] for answer in given] == ["timeout"]
    assert time.monotonic() - began < 7, "the agent waited until the tool felt like it"


# Webhooks


async def test_webhook_gets_the_vendors_payload_signed(
    calm: Gateway, vendor: Emulator, outside: Outside
) -> None:
    forged = len(outside.forged)
    given, _ = await asked(calm, vendor, "hook")
    assert given == [{"hooked": {"order_number": "1001"}}]
    call = outside.calls[-1]
    assert len(outside.forged) == forged
    assert (call["type"], call["status"], call["toolName"]) == (
        "ToolWebHookPayload",
        "Running",
        "hook",
    )
    assert {"callId", "agentId", "orgId", "callAdditionalData", "agentAdditionalData"} <= set(call)
    assert call["callAdditionalData"] == {"agent": "counter"}


async def test_webhook_that_fails_is_asked_again_under_the_same_id(
    calm: Gateway, vendor: Emulator, outside: Outside
) -> None:
    before = len(outside.calls)
    given, _ = await asked(calm, vendor, "hook_flaky")
    assert given == [{"hooked": {"order_number": "1001"}}]
    assert [call["id"] for call in outside.calls[before:]] == [outside.calls[-1]["id"]] * 2


async def test_fallback_stands_in_for_a_webhook_that_hangs(calm: Gateway, vendor: Emulator) -> None:
    before = await calls(calm, "hook_hangs", "fallback")
    assert (await asked(calm, vendor, "hook_hangs", toolTimeout=20))[0] == ["try later"]
    assert await calls(calm, "hook_hangs", "fallback") == before + 1


async def test_hidden_frames_of_tools_reach_no_browser(calm: Gateway) -> None:
    async with browser(calm.ws + URL) as page:
        await page.wish(count=3, toolEvery=1, tool="order")
        assert await page.closed() == 1000
    kinds = {frame["type"] for frame in page.frames}
    assert not kinds & {"toolCall", "toolCallResult", "websocketToolRequest"}


async def test_no_tool_is_left_running(calm: Gateway) -> None:
    async def settled() -> bool:
        async with calm.api() as backend:
            return not (await backend.get("/v1/sessions")).json()["sessions"]

    await until(settled)
    await asyncio.sleep(0)
    assert not calm.lines("relay_crashed")
