"""Who runs a tool call, who may answer it, and that it is answered once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.protocol.actions import (
    FORWARD,
    NOTHING,
    Actions,
    AwaitBrowserTool,
    Count,
    RunTool,
    ToolSettled,
    ToUpstream,
    WantHuman,
)
from app.protocol.initialize import Profile
from app.protocol.tool import Outcome, ToolCall, ToolResult
from app.protocol.tool_ledger import MAX_RUNNING, ToolLedger
from app.protocol.tool_rules import (
    MAX_CALL_ID,
    ToolRules,
    blocked,
    browser_answered,
    finished,
    requested_call,
)
from app.protocol.validation import FrameRejected
from tests.protocol.rules import NOW, only

PAYLOAD = b"{}"
RULES = ToolRules(
    Profile("support", browser_tools=frozenset({"show"})), frozenset({"look_up", "sum"})
)


def requests(calls: ToolLedger, call_id: str, name: str, rules: ToolRules = RULES) -> Actions:
    return rules.requested(calls, ToolCall(call_id, name, {}), "c-1", PAYLOAD, 7, NOW)


def answers(call_id: Any) -> dict[str, Any]:
    return {"type": "websocketToolResponse", "content": {"id": call_id, "result": 1}}


def result_of(action: ToUpstream) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(action.payload)
    return frame


@pytest.mark.parametrize("content", [None, "x", {"id": 7}, {}, {"id": "x" * (MAX_CALL_ID + 1)}])
def test_a_request_without_a_usable_id_is_none(content: object) -> None:
    assert requested_call({"content": content}) is None


def test_a_request_names_its_call() -> None:
    content = {"id": "x" * MAX_CALL_ID, "toolName": "sum", "args": [1]}
    assert requested_call({"content": content}) == ToolCall("x" * MAX_CALL_ID, "sum", [1])
    assert requested_call({"content": {"id": "1", "toolName": 5}}) == ToolCall("1", "", None)


def test_a_backend_tool_is_run_and_answered_once() -> None:
    calls = ToolLedger()
    assert requests(calls, "1", "sum") == (RunTool(ToolCall("1", "sum", {})),)
    assert requests(calls, "1", "sum") == (Count("repeated_tool_id"),)
    (answer,) = finished(calls, ToolResult("1", 3, Outcome.OK), NOW)
    assert isinstance(answer, ToUpstream)
    assert result_of(answer)["content"] == {"id": "1", "result": 3}
    assert result_of(answer)["channelId"] == "c-1"
    assert finished(calls, ToolResult("1", 4, Outcome.OK), NOW) == NOTHING
    assert requests(calls, "1", "sum") == (Count("repeated_tool_id"), answer)


def test_a_profile_may_narrow_the_tools() -> None:
    narrow = ToolRules(Profile("support", tools=frozenset({"sum"})), frozenset({"look_up", "sum"}))
    assert only(requests(ToolLedger(), "1", "sum", narrow), RunTool)
    declined = requests(ToolLedger(), "2", "look_up", narrow)
    assert only(declined, ToolSettled).outcome is Outcome.UNKNOWN


def test_a_browser_tool_is_shown_and_answered_by_the_browser_once() -> None:
    calls = ToolLedger()
    assert requests(calls, "1", "show") == (*FORWARD, AwaitBrowserTool(ToolCall("1", "show", {})))
    assert (calls.shown["1"].payload, calls.shown["1"].number) == (PAYLOAD, 7)
    answered = browser_answered(calls, answers("1"), b"answer")
    assert answered == (ToUpstream(b"answer"), ToolSettled(ToolCall("1", "show", {}), Outcome.OK))
    assert browser_answered(calls, answers("1"), b"late") == NOTHING


@pytest.mark.parametrize("frame", [answers("2"), answers(7), {"type": "websocketToolResponse"}])
def test_an_answer_to_nothing_is_rejected(frame: dict[str, Any]) -> None:
    calls = ToolLedger()
    requests(calls, "1", "sum")
    with pytest.raises(FrameRejected) as rejected:
        browser_answered(calls, frame, PAYLOAD)
    assert rejected.value.count == "unasked_response"
    with pytest.raises(FrameRejected):
        browser_answered(calls, answers("1"), PAYLOAD)  # that one runs in the backend


def test_what_is_not_run_is_answered_at_once() -> None:
    calls = ToolLedger()
    for number in range(MAX_RUNNING):
        requests(calls, str(number), "sum")
    busy = requests(calls, "more", "sum")
    assert only(busy, ToolSettled).outcome is Outcome.BUSY
    assert result_of(only(busy, ToUpstream))["content"]["id"] == "more"


@pytest.mark.parametrize("name", ["look_up", "show", "other"])
def test_while_a_person_has_taken_over_no_tool_runs(name: str) -> None:
    calls = ToolLedger()
    call = ToolCall("1", name, {})
    for _ in range(2):
        actions = RULES.requested(calls, call, "c-1", PAYLOAD, 7, NOW, is_taken=True)
        error = result_of(only(actions, ToUpstream))["content"]["result"]["error"]
        assert error["code"] == "taken_over"
    assert (calls.running, calls.shown) == ({}, {})


@pytest.mark.parametrize(
    ("tools", "registered", "wanted"),
    [
        (frozenset({"request_human"}), frozenset(), True),
        (frozenset({"request_human"}), frozenset({"request_human"}), False),
        (frozenset(), frozenset(), False),
        (None, frozenset(), False),
    ],
)
def test_a_person_can_be_asked_for_where_the_profile_lists_the_tool(
    tools: frozenset[str] | None, registered: frozenset[str], wanted: bool
) -> None:
    rules = ToolRules(Profile("support", tools=tools), registered)
    calls = ToolLedger()
    actions = requests(calls, "1", "request_human", rules)
    assert any(isinstance(action, WantHuman) for action in actions) is wanted
    if wanted:
        result = result_of(only(actions, ToUpstream))["content"]["result"]
        assert result["requested"] is True
        assert only(actions, ToolSettled).outcome is Outcome.OK
        assert requests(calls, "1", "request_human", rules)[0] == Count("repeated_tool_id")


def test_a_call_that_is_blocked_is_declined_with_the_sentence_and_not_run_later() -> None:
    calls, call = ToolLedger(), ToolCall("1", "sum", {})
    answer, settled = blocked(calls, call, "c-1", "Not with these numbers.", NOW)
    assert isinstance(answer, ToUpstream)
    error = result_of(answer)["content"]["result"]["error"]
    assert error == {"code": "blocked", "message": "Not with these numbers."}
    assert settled == ToolSettled(call, Outcome.BLOCKED)
    assert requests(calls, "1", "sum") == (Count("repeated_tool_id"), answer)
    assert blocked(calls, call, "c-1", None, NOW) == (Count("repeated_tool_id"), answer)


def test_a_call_that_runs_is_blocked_no_more() -> None:
    calls = ToolLedger()
    requests(calls, "1", "sum")
    assert blocked(calls, ToolCall("1", "sum", {}), "c-1", None, NOW) == NOTHING
