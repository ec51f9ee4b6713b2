"""What guardrails judge of a frame, what their answers mean, and the frame that goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.protocol.guarding import (
    MAX_MESSAGE,
    MAX_TEXT,
    InvalidVerdict,
    Subject,
    agent_subject,
    error_result,
    read_frame,
    user_subject,
    verdict_of,
)
from blackbox_relay import Verdict


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"action": "pass"}, Verdict("pass")),
        ({"action": "pass", "text": None, "more": 1}, Verdict("pass")),
        ({"action": "mask", "text": "x"}, Verdict("mask", "x")),
        ({"action": "mask", "text": ""}, Verdict("mask", "")),
        ({"action": "block", "message": "no"}, Verdict("block", None, "no")),
        ({"action": "end", "message": ""}, Verdict("end")),
        (Verdict("block", message="n" * 3000), Verdict("block", None, "n" * MAX_MESSAGE)),
    ],
)
def test_an_answer_is_a_verdict(answer: object, verdict: Verdict) -> None:
    assert verdict_of(answer) == verdict


@pytest.mark.parametrize(
    "answer",
    [
        None,
        True,
        "pass",
        [],
        {},
        {"action": "Pass"},
        {"action": ["pass"]},
        {"action": "mask"},
        {"action": "mask", "text": 7},
        {"action": "mask", "text": "x" * (MAX_TEXT + 1)},
        {"action": "mask", "text": "\ud800"},
        {"action": "block", "message": {}},
        Verdict("perhaps"),  # type: ignore[arg-type]
    ],
)
def test_anything_else_is_none(answer: object) -> None:
    with pytest.raises(InvalidVerdict):
        verdict_of(answer)


def test_a_mask_of_json_is_json() -> None:
    assert verdict_of({"action": "mask", "text": "{}"}, is_json=True) == Verdict("mask", "{}")
    with pytest.raises(InvalidVerdict):
        verdict_of({"action": "mask", "text": "{"}, is_json=True)


def replaced(subject: Subject | None, text: str) -> Any:
    assert subject is not None
    return json.loads(subject.replaced(text))


def test_a_chat_message_is_judged() -> None:
    frame = {"type": "incomingChatMessage", "content": "hi", "x": 1}
    subject = user_subject(frame)
    assert subject is not None
    assert (subject.on, subject.text) == ("user", "hi")
    assert replaced(subject, "ho") == frame | {"content": "ho"}


def test_a_browser_tool_s_result_is_judged() -> None:
    frame = {"type": "websocketToolResponse", "content": {"id": "1", "result": {"a": 1}}}
    subject = user_subject(frame)
    assert subject is not None
    assert (subject.on, subject.text, subject.call_id) == ("tool_result", '{"a":1}', "1")
    assert replaced(subject, "[2]")["content"] == {"id": "1", "result": [2]}
    blocked = replaced(subject, error_result(None))["content"]["result"]
    assert blocked == {"error": {"code": "blocked", "message": "This is not allowed."}}


def test_what_the_agent_says_is_judged() -> None:
    frame = {"type": "text", "content": {"source": "assistant", "text": "hi"}}
    subject = agent_subject(frame)
    assert subject is not None
    assert (subject.on, subject.text) == ("agent", "hi")
    assert replaced(subject, "ho")["content"] == {"source": "assistant", "text": "ho"}


def test_a_tool_s_arguments_are_judged() -> None:
    content = {"id": "1", "toolName": "t", "args": {"a": 12345678901234567890}}
    subject = agent_subject({"type": "websocketToolRequest", "content": content})
    assert subject is not None
    assert (subject.on, subject.tool, subject.call_id) == ("tool_args", "t", "1")
    assert subject.text == '{"a":12345678901234567890}'
    assert replaced(subject, "null")["content"]["args"] is None


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "incomingChatMessage", "content": ""},
        {"type": "incomingChatMessage", "content": {"text": "hi"}},
        {"type": "websocketToolResponse", "content": {"id": "1"}},
        {"type": "websocketToolResponse", "content": {"id": 1, "result": 2}},
        {"type": "terminate"},
        {},
    ],
)
def test_other_frames_of_a_page_are_not_judged(frame: dict[str, Any]) -> None:
    assert user_subject(frame) is None


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "text", "content": {"source": "user", "text": "hi"}},
        {"type": "text"},
        {"type": "websocketToolRequest", "content": "x"},
        {"type": "websocketToolRequest", "content": {"id": 1, "toolName": "t"}},
        {"type": "websocketToolRequest", "content": {"id": "1", "toolName": None}},
        {"type": "event"},
    ],
)
def test_other_frames_of_the_vendor_are_not_judged(frame: dict[str, Any]) -> None:
    assert agent_subject(frame) is None


def test_what_is_no_frame_holds_nothing() -> None:
    assert read_frame(b"{") == {}
    assert read_frame(b"[]") == {}
    assert read_frame(b'{"n":1e999}') != {}
