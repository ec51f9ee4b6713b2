"""The gateway's own frames have the vendor's envelope."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.protocol import frames
from app.protocol.approval import ApprovalRequest
from app.protocol.close_codes import OVERLOADED, UPSTREAM_FAILED
from app.protocol.principal import CallType
from app.protocol.tool import Outcome, ToolResult

NOW = 1_800_000_000.125
STAMP = "2027-01-15T08:00:00.125Z"


def test_timestamp_is_iso_8601_in_utc() -> None:
    assert frames.timestamp(NOW) == STAMP
    assert frames.timestamp(0) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("frame", "own"),
    [
        ({"type": "relay.received"}, True),
        ({"type": "event", "name": "relay.session"}, True),
        ({"type": "event", "name": "opened"}, False),
        ({"type": "relayed"}, False),
        ({"type": "text", "name": 5}, False),
        ({"type": "text", "name": None}, False),
    ],
)
def test_own_frames_are_typed_or_named_so(frame: dict[str, Any], own: bool) -> None:
    assert frames.is_own(frame) is own


def test_initialize_carries_the_request_under_its_field() -> None:
    made = json.loads(frames.initialize(NOW, "devRequest", {"callType": "chat"}))
    assert made == {"type": "initialize", "timestamp": STAMP, "devRequest": {"callType": "chat"}}


def test_terminate_has_the_envelope_alone() -> None:
    assert json.loads(frames.terminate(NOW)) == {"type": "terminate", "timestamp": STAMP}


@pytest.mark.parametrize("channel", [None, "c-1"])
def test_tool_response_always_has_a_channel(channel: str | None) -> None:
    made = json.loads(frames.tool_response(NOW, ToolResult("1", {2: "b"}, Outcome.OK), channel))
    assert made["channelId"] == channel
    assert made["content"] == {"id": "1", "result": {"2": "b"}}


def test_session_event_offers_to_resume_or_not() -> None:
    offered = json.loads(
        frames.session_opened(NOW, "s-1", "support", CallType.WEB_CALL, ("token", 30.0))
    )
    assert (offered["type"], offered["name"]) == ("event", "relay.session")
    assert offered["data"] == {
        "sessionId": "s-1",
        "agent": "support",
        "callType": "webCall",
        "resume": {"token": "token", "window": 30.0},
    }
    taken = frames.session_opened(NOW, "s-1", "support", CallType.CHAT, None, operator="Ann")
    assert json.loads(taken)["data"]["takeover"] == {"operator": "Ann"}
    plain = json.loads(frames.session_opened(NOW, "s-1", "support", CallType.CHAT, None))
    assert plain["data"]["resume"] is None


def test_session_event_says_that_a_chat_is_kept_and_that_it_waits() -> None:
    made = frames.session_opened(NOW, "s-1", "support", CallType.CHAT, None, 60.0, queued=True)
    data = json.loads(made)["data"]
    assert (data["keep"], data["queued"]) == (60.0, True)


def test_history_event_holds_the_turns_with_their_times() -> None:
    made = json.loads(frames.history(NOW, [{"source": "user", "text": "hi", "at": NOW}]))
    assert (made["type"], made["name"]) == ("event", "relay.history")
    turn = {"source": "user", "text": "hi", "at": made["timestamp"]}
    assert made["data"] == {"turns": [turn]}


def test_queued_event_says_the_position_and_how_to_keep_it() -> None:
    made = json.loads(frames.queued(NOW, 2, 5, "t"))
    assert (made["type"], made["name"]) == ("event", "relay.queued")
    assert made["data"] == {"position": 2, "of": 5, "turn": "t"}


def test_resumed_event_says_what_follows_and_what_had_come() -> None:
    made = json.loads(frames.resumed(NOW, 3, 7))
    assert made["name"] == "relay.resumed"
    assert made["data"] == {"replayed": 3, "received": 7}


def test_pong_says_how_many_of_the_browsers_frames_have_arrived() -> None:
    made = json.loads(frames.pong(NOW, 7))
    assert (made["type"], made["name"], made["data"]) == ("event", "relay.pong", {"received": 7})
    assert frames.is_own(made)


def test_what_is_withheld_is_told_as_the_vendor_tells_an_error() -> None:
    made = json.loads(frames.withheld(NOW, "Not that."))
    assert made == {"type": "error", "timestamp": STAMP, "data": {"message": "Not that."}}
    assert not frames.is_own(made)


def test_a_verdict_is_the_gateway_s_own() -> None:
    made = json.loads(frames.guardrail(NOW, {"guardrail": "g", "action": "pass"}))
    assert (made["name"], made["data"]["guardrail"]) == ("relay.guardrail", "g")
    assert frames.is_own(made)


def test_draining_event_says_until_when() -> None:
    made = json.loads(frames.draining(NOW - 60, NOW))
    assert (made["name"], made["data"]) == ("relay.draining", {"deadline": STAMP})


def test_warning_event_says_what_is_otherwise() -> None:
    made = json.loads(frames.warning(NOW, "client_data_ignored", "Ignored.", keys=["a"]))
    assert (made["type"], made["name"]) == ("event", "relay.warning")
    assert made["data"] == {"code": "client_data_ignored", "message": "Ignored.", "keys": ["a"]}
    assert frames.is_own(made)


def test_error_frame_says_what_and_whether_to_retry() -> None:
    made = json.loads(frames.error(NOW, UPSTREAM_FAILED, "s-1"))
    assert (made["type"], made["timestamp"]) == ("error", STAMP)
    assert made["data"] == {
        "message": UPSTREAM_FAILED.message,
        "code": 4502,
        "retry": "reconnect",
        "sessionId": "s-1",
    }


def test_error_outside_the_numbered_frames_is_named_as_the_gateway_s_own() -> None:
    made = json.loads(frames.error(NOW, UPSTREAM_FAILED, None, numbered=False))
    assert (made["type"], made["name"]) == ("error", "relay.error")
    assert frames.is_own(made)
    assert not frames.is_own(json.loads(frames.error(NOW, UPSTREAM_FAILED, None)))


def test_error_frame_may_say_when_to_retry() -> None:
    made = json.loads(frames.error(NOW, OVERLOADED, None, "Come back.", 1.23456))
    assert made["data"]["message"] == "Come back."
    assert made["data"]["retryAfter"] == 1.235
    assert made["data"]["sessionId"] is None


def test_heads_are_how_the_common_writers_begin() -> None:
    frame = {"type": frames.TEXT, "content": 1}
    compact, spaced = json.dumps(frame, separators=(",", ":")), json.dumps(frame)
    assert compact.encode().startswith(frames.compact_head(frames.TEXT))
    assert spaced.encode().startswith(frames.spaced_head(frames.TEXT))


def test_an_approval_is_asked_for_with_every_digit_until_its_deadline() -> None:
    request = ApprovalRequest("s", "1", "support", "refund", {"n": 2**70}, "user", NOW, NOW + 20)
    asked = json.loads(frames.approval_request(NOW, request))
    assert (asked["type"], asked["name"]) == ("event", "relay.approval_request")
    assert asked["data"] == {
        "id": "1",
        "tool": "refund",
        "args": {"n": 2**70},
        "deadline": "2027-01-15T08:00:20.125Z",
    }
    settled = json.loads(frames.approval_settled(NOW, "1", approved=False))
    assert settled["name"] == "relay.approval_settled"
    assert settled["data"] == {"id": "1", "approved": False}
