"""Which frames a browser may send, and what is filled in."""

from __future__ import annotations

from typing import Any

import pytest

from app.protocol.close_codes import BAD_FRAMES, FORBIDDEN
from app.protocol.frames import UPSTREAM_TYPES
from app.protocol.validation import (
    FrameRejected,
    approval_in,
    missing_members,
    response_id,
    validate,
)

GOOD: list[dict[str, Any]] = [
    {"type": "incomingChatMessage", "content": "hello"},
    {"type": "incomingChatMessage", "content": "", "more": {"un": "known"}},
    {"type": "sdpAnswer", "data": {"sdpAnswer": "v=0"}},
    {"type": "websocketToolResponse", "content": {"id": "1", "result": None}},
    {"type": "terminate"},
]
MISSHAPEN: list[dict[str, Any]] = [
    {"type": "incomingChatMessage"},
    {"type": "incomingChatMessage", "content": {"text": "hello"}},
    {"type": "incomingChatMessage", "content": None},
    {"type": "sdpAnswer"},
    {"type": "sdpAnswer", "data": "v=0"},
    {"type": "sdpAnswer", "data": {"sdpAnswer": None}},
    {"type": "websocketToolResponse"},
    {"type": "websocketToolResponse", "content": "1"},
    {"type": "websocketToolResponse", "content": {"id": "1"}},
    {"type": "websocketToolResponse", "content": {"id": 1, "result": 1}},
]


@pytest.mark.parametrize("frame", GOOD)
def test_what_a_browser_may_say_passes(frame: dict[str, Any]) -> None:
    validate(frame)


@pytest.mark.parametrize("frame", MISSHAPEN)
def test_wrong_shape_is_a_bad_frame(frame: dict[str, Any]) -> None:
    with pytest.raises(FrameRejected) as refused:
        validate(frame)
    assert (refused.value.reason, refused.value.count) == (BAD_FRAMES, "bad_shape")


@pytest.mark.parametrize(
    "kind", [*sorted(UPSTREAM_TYPES), "initialize", "relay.session", "Terminate", "made up"]
)
def test_any_other_type_is_forbidden(kind: str) -> None:
    with pytest.raises(FrameRejected) as refused:
        validate({"type": kind})
    assert (refused.value.reason, refused.value.count) == (FORBIDDEN, "type_not_allowed")
    assert kind not in str(refused.value)


def test_response_id_is_there_or_none() -> None:
    assert response_id(GOOD[3]) == "1"
    assert [response_id(frame) for frame in MISSHAPEN[6:]] == [None] * 4


@pytest.mark.parametrize(
    ("frame", "added"),
    [
        ({"type": "incomingChatMessage", "timestamp": "t"}, set()),
        ({"type": "incomingChatMessage"}, {"timestamp"}),
        ({"type": "terminate"}, {"timestamp"}),
        ({"type": "sdpAnswer", "timestamp": "t"}, {"channelId"}),
        ({"type": "sdpAnswer", "timestamp": "t", "channelId": None}, set()),
        ({"type": "websocketToolResponse"}, {"timestamp", "channelId"}),
    ],
)
def test_what_the_vendor_demands_is_filled_in(frame: dict[str, Any], added: set[str]) -> None:
    found = missing_members(frame, 1_800_000_000.0)
    assert set(found) == added
    assert found.get("timestamp", "2027-01-15T08:00:00.000Z") == "2027-01-15T08:00:00.000Z"
    assert found.get("channelId") is None


def test_an_approval_names_a_call_and_says_yes_or_no() -> None:
    assert approval_in({"id": "1", "approve": False}) == ("1", False)
    for wrong in ({}, {"id": 1, "approve": True}, {"id": "1"}, {"id": "1", "approve": "yes"}):
        with pytest.raises(FrameRejected) as refused:
            approval_in({"type": "relay.approval", **wrong})
        assert refused.value.reason is BAD_FRAMES
