from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.control import Speaker
from app.protocol.takeover import (
    MAX_REASON,
    MAX_TOLD,
    OMITTED,
    Takeover,
    is_echo,
    is_held,
    reason_of,
)
from app.protocol.tool import ToolCall


def test_agent_is_told_what_was_said_in_its_order() -> None:
    taken = Takeover("Ann", 1.0)
    assert taken.summary() == ""
    taken.heard(Speaker.USER, "Where is it?")
    taken.heard(Speaker.OPERATOR, "On its way.")
    taken.heard(Speaker.BACKEND, "Parcel 7.")
    assert taken.summary().splitlines()[1:] == [
        "User: Where is it?",
        "Ann: On its way.",
        "Backend: Parcel 7.",
    ]


@given(st.lists(st.text(max_size=5000), max_size=20))
def test_what_the_agent_is_told_is_bounded_and_keeps_the_latest(texts: list[str]) -> None:
    taken = Takeover("Ann", 1.0)
    for text in texts:
        taken.heard(Speaker.USER, text)
    assert len(taken.summary().encode()) <= MAX_TOLD + 64
    if texts:
        assert taken.summary().endswith(texts[-1][-100:])


def test_what_was_left_out_shows() -> None:
    taken = Takeover("Ann", 1.0)
    taken.heard(Speaker.USER, "first")
    taken.heard(Speaker.USER, "ü" * MAX_TOLD)
    assert "first" not in taken.summary()
    lines = taken.summary().splitlines()
    assert lines[1] == OMITTED
    assert lines[2].startswith(OMITTED + "ü")


@pytest.mark.parametrize(
    ("kind", "content", "held", "echo"),
    [
        ("text", {"source": "assistant", "text": "a"}, True, False),
        ("text", {"source": "user", "text": "a"}, False, True),
        ("text", {"source": "user", "text": "b"}, False, False),
        ("text", "a", True, False),
        ("text", {"text": "a"}, True, False),
        ("event", {"source": "user", "text": "a"}, False, False),
    ],
)
def test_what_the_agent_says_is_held_and_the_echo_of_a_text_is_known(
    kind: str, content: Any, held: bool, echo: bool
) -> None:
    assert is_held(kind, {"content": content}) is held
    assert is_echo(kind, {"content": content}, "a") is echo


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"reason": "angry"}, "angry"),
        ({"reason": "x" * 1000}, "x" * MAX_REASON),
        ({"reason": 1}, ""),
        ({}, ""),
        (None, ""),
        ("angry", ""),
    ],
)
def test_agent_may_say_why_it_wants_a_person(args: Any, reason: str) -> None:
    assert reason_of(ToolCall("1", "request_human", args)) == reason


def test_an_agent_is_told_8_kib_at_most() -> None:
    assert MAX_TOLD == 8192
