"""One conversation's rules, told one by one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.protocol.actions import (
    FORWARD,
    HELD,
    HELD_ECHO,
    NOTHING,
    Acked,
    Announce,
    AwaitBrowserTool,
    AwaitUpstreamClose,
    Count,
    DecideApproval,
    End,
    Forward,
    Publish,
    RunTool,
    SdpExchanged,
    ToBrowser,
    ToolSettled,
    ToUpstream,
    VendorRefused,
    WantHuman,
)
from app.protocol.close_codes import (
    BAD_FRAMES,
    ENDED,
    FORBIDDEN,
    FRAME_TOO_LARGE,
    OVERLOADED,
    TOO_MANY,
    UPSTREAM_FAILED,
)
from app.protocol.early_frames import MAX_EARLY_BYTES, MAX_EARLY_FRAMES
from app.protocol.errors import IllegalTransition
from app.protocol.frame_counters import FrameCounters
from app.protocol.initialize import Profile
from app.protocol.phases import Phase
from app.protocol.rate_limit import TokenBucket
from app.protocol.replay_buffer import ReplayBuffer
from app.protocol.session import Session
from app.protocol.takeover import Takeover
from app.protocol.tool import Outcome, ToolResult
from app.protocol.tool_ledger import MAX_RUNNING
from app.protocol.tool_rules import MAX_CALL_ID
from app.protocol.vendor_failures import ERRORS, FAILED_OPEN, UNKNOWN_ERROR
from app.protocol.violations import MAX_VIOLATIONS
from tests.protocol.rules import (
    INITIALIZE,
    NOW,
    answers,
    asks,
    chat,
    frame,
    live,
    only,
    opened,
    session,
)

# Before upstream is ready


def test_what_a_backend_says_waits_for_upstream_with_the_rest_and_is_bounded() -> None:
    rules = session()
    rules.from_browser(chat("one"), NOW)
    assert rules.from_backend(chat("two")) == NOTHING
    assert rules.from_backend(b"x" * MAX_EARLY_BYTES) is None
    for _ in range(MAX_EARLY_FRAMES - 2):
        assert rules.from_backend(chat("more")) == NOTHING
    assert rules.from_backend(chat("one too many")) is None
    started = rules.open(INITIALIZE)
    assert started[1:3] == (ToUpstream(chat("one")), ToUpstream(chat("two")))
    assert len(started) == MAX_EARLY_FRAMES + 1
    assert rules.from_backend(chat("three")) == (ToUpstream(chat("three")),)


def test_initialize_goes_first_and_early_frames_follow_in_order() -> None:
    rules = session()
    assert rules.from_browser(chat("one"), NOW) == NOTHING
    assert rules.from_browser(chat("two"), NOW) == NOTHING
    assert rules.open(INITIALIZE) == (
        ToUpstream(INITIALIZE),
        ToUpstream(chat("one")),
        ToUpstream(chat("two")),
    )


def test_a_session_says_where_it_stands() -> None:
    rules = session()
    assert repr(rules) == "<Session s-1: CONNECTING, 0 received, 0 sent>"
    rules.from_browser(chat("one"), NOW)
    rules.open(INITIALIZE)
    assert repr(rules) == "<Session s-1: INITIALIZING, 1 received, 0 sent>"


def test_session_is_opened_once() -> None:
    rules = opened()
    with pytest.raises(IllegalTransition):
        rules.open(INITIALIZE)
    assert rules.phase is Phase.INITIALIZING


def test_browser_s_initialize_is_a_wish_that_goes_nowhere() -> None:
    rules = session()
    assert rules.from_browser(frame("initialize", request={"callType": "chat"}), NOW) == NOTHING
    assert rules.client_initialize is not None
    assert rules.open(INITIALIZE) == (ToUpstream(INITIALIZE),)


def test_second_initialize_is_refused() -> None:
    rules = session()
    rules.from_browser(frame("initialize", request={"first": 1}), NOW)
    told = rules.from_browser(frame("initialize", request={"second": 1}), NOW)
    assert only(told, Count).name == "second_initialize"
    assert json.loads(only(told, ToBrowser).payload)["data"]["code"] == FORBIDDEN.code
    assert rules.client_initialize is not None
    assert "first" in rules.client_initialize["request"]


@pytest.mark.parametrize(
    ("size", "count"), [(0, MAX_EARLY_FRAMES), (MAX_EARLY_BYTES // 4, 3), (MAX_EARLY_BYTES + 1, 0)]
)
def test_early_frames_are_bounded_in_count_and_bytes(size: int, count: int) -> None:
    rules = session()
    for _ in range(count):
        assert rules.from_browser(chat("x" * size), NOW) == NOTHING
    told = rules.from_browser(chat("x" * size), NOW)
    assert only(told, End).reason is TOO_MANY


def test_early_terminate_ends_what_has_not_begun() -> None:
    assert session().from_browser(frame("terminate"), NOW) == (End(ENDED),)


def test_upstream_that_speaks_before_it_is_opened_is_a_bug_of_ours() -> None:
    rules = session()
    with pytest.raises(IllegalTransition):
        rules.from_upstream(asks("1"), NOW)
    assert rules.phase is Phase.CONNECTING


def test_malformed_frames_behind_the_one_that_ended_it_are_counted_no_more() -> None:
    rules = live()
    told = [rules.malformed_from_upstream() for _ in range(MAX_VIOLATIONS + 1)]
    assert only(told[MAX_VIOLATIONS - 1], End).reason is UPSTREAM_FAILED
    assert told[MAX_VIOLATIONS] == NOTHING


# From the browser


@pytest.mark.parametrize("pays", [True, False])
def test_plain_frames_are_judged_alike_whether_or_not_a_look_pays(
    monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    monkeypatch.setattr("app.protocol.session.FAST_PATH_ENABLED", pays)
    counters = FrameCounters()
    rules = live(burst=2, counters=counters)
    said, heard = frame("incomingChatMessage", content="hi"), frame("text", content={"text": "hi"})
    assert [rules.from_browser(said, NOW) for _ in range(2)] == [FORWARD, FORWARD]
    assert rules.from_browser(said, NOW) == (
        Count("frame_rate"),
        End(TOO_MANY, "Too many messages at once."),
    )
    assert rules.from_upstream(heard, NOW) is FORWARD
    assert live(hide=frozenset({"text"})).from_upstream(heard, NOW) is NOTHING
    assert (rules.received, rules.size_received) == (3, 3 * len(said))
    assert counters.from_browser.frames["incomingChatMessage"] == 3
    assert counters.from_upstream.frames["text"] == 1


@pytest.mark.parametrize("pays", [True, False])
def test_events_and_tool_calls_are_shown_alike_whether_or_not_the_fast_path_is_taken(
    monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    monkeypatch.setattr("app.protocol.session.FAST_PATH_ENABLED", pays)
    counters = FrameCounters()
    key = frozenset({b"canary+key"})
    rules = live(hide=frozenset({"toolCall"}), secrets=key, counters=counters)
    happened = frame("event", name="opened", data={"note": "a"})
    assert rules.from_upstream(happened, NOW) is FORWARD
    assert rules.from_upstream(frame("toolCallResult", content={"a": 1}), NOW) is FORWARD
    assert rules.from_upstream(frame("toolCall", content={"a": 1}), NOW) is NOTHING
    for note in ("canary+key", "\ncanary+key"):
        told = rules.from_upstream(frame("event", name="opened", data={"note": note}), NOW)
        assert only(told, Count).name == "secret_withheld"
        assert b"canary" not in only(told, ToBrowser).payload
    assert only(rules.from_upstream(frame("event", name="new"), NOW), Count).name == "unknown_event"
    assert counters.from_upstream.frames["event"] == 5  # with the connection's
    assert counters.from_upstream.frames["toolCall"] == 1
    rules.take_over(Takeover("operator", NOW))
    assert rules.from_upstream(happened, NOW) is FORWARD
    assert live(hide=frozenset({"event"})).from_upstream(happened, NOW) is NOTHING
    answered = live()
    answered.from_upstream(frame("sdpInvite", data={"sdpOffer": "v=0"}), NOW)
    answered.from_browser(frame("sdpAnswer", channelId="c", data={"sdpAnswer": "v=0"}), NOW)
    heard = frame("text", content={"source": "user", "text": "hi"})
    assert answered.from_upstream(heard, NOW) is FORWARD
    assert answered.call.heard
    assert answered.from_upstream(heard, NOW) is FORWARD


def test_complete_frame_is_forwarded_as_it_came() -> None:
    rules = live()
    assert rules.from_browser(chat(), NOW) is FORWARD
    answer = frame("sdpAnswer", channelId="c", data={"sdpAnswer": "v=0"})
    assert rules.from_browser(answer, NOW) == (ToUpstream(answer), SdpExchanged())


def test_call_is_described_by_offer_and_answer_and_by_the_users_voice() -> None:
    rules = live()
    spoken = frame("text", content={"source": "user", "text": "hello"})
    rules.from_upstream(spoken, NOW)
    for name in ("invite", "sdpOffer"):
        offer = frame("sdpInvite", data={name: "v=0"})
        assert rules.from_upstream(offer, NOW) == (*FORWARD, SdpExchanged())
    assert rules.call.offer is not None
    assert rules.call.answer is None
    assert not rules.call.heard
    rules.from_browser(frame("sdpAnswer", channelId="c", data={"sdpAnswer": "v=0"}), NOW)
    for source, heard in (("assistant", False), ("user", True)):
        said = frame("text", content={"source": source, "text": "hello"})
        assert rules.from_upstream(said, NOW) is FORWARD
        assert rules.call.heard is heard


def test_missing_members_are_added_at_the_end() -> None:
    rules = live()
    told = rules.from_browser(b'{"type":"sdpAnswer","data":{"sdpAnswer":"v=0"}}', NOW)
    assert only(told, ToUpstream).payload == (
        b'{"type":"sdpAnswer","data":{"sdpAnswer":"v=0"},'
        b'"timestamp":"2027-01-15T08:00:00.000Z","channelId":null}'
    )


def test_missing_members_are_added_however_many_others_there_are() -> None:
    rules = live()
    rules.from_upstream(asks("1", "show"), NOW)
    more = {f"unknown{at}": at for at in range(12)}
    payload = json.dumps(
        {"type": "websocketToolResponse", "content": {"id": "1", "result": 1}, **more}
    ).encode()
    made = json.loads(only(rules.from_browser(payload, NOW), ToUpstream).payload)
    assert made["channelId"] is None
    assert made["timestamp"]


def test_terminate_is_forwarded_once_and_ends_the_browser_s_say() -> None:
    rules = live()
    assert rules.from_browser(frame("terminate"), NOW) == (
        ToUpstream(frame("terminate")),
        AwaitUpstreamClose(),
    )
    assert rules.phase is Phase.CLOSING
    assert rules.from_browser(frame("terminate"), NOW) == NOTHING
    assert rules.from_browser(chat(), NOW) == NOTHING
    assert rules.terminate(NOW) == NOTHING


@pytest.mark.parametrize(
    ("payload", "code", "count"),
    [
        (b"not json", BAD_FRAMES, "bad_json"),
        (b'{"type":"a","type":"a"}', BAD_FRAMES, "bad_json"),
        (frame("incomingChatMessage", content={}), BAD_FRAMES, "bad_shape"),
        (frame("text", content={}), FORBIDDEN, "type_not_allowed"),
        (frame("relay.session"), FORBIDDEN, "type_not_allowed"),
        (answers("never asked"), FORBIDDEN, "unasked_response"),
        (frame("relay.received", count=10**6), BAD_FRAMES, "bad_confirmation"),
        (frame("relay.received", count=True), BAD_FRAMES, "bad_confirmation"),
        (frame("relay.received", count=1.0), BAD_FRAMES, "bad_confirmation"),
        (frame("relay.received"), BAD_FRAMES, "bad_confirmation"),
        (None, BAD_FRAMES, "binary"),
    ],
)
def test_refused_frame_is_answered_and_the_third_ends_the_session(
    payload: bytes | None, code: Any, count: str
) -> None:
    rules = live()

    def say() -> Any:
        if payload is None:
            return rules.binary_from_browser(NOW)
        return rules.from_browser(payload, NOW)

    for _ in range(2):
        told = say()
        assert only(told, Count).name == count
        shown = json.loads(only(told, ToBrowser).payload)
        assert (shown["type"], shown["data"]["code"]) == ("error", code.code)
        assert shown["data"]["sessionId"] == "s-1"
    told = say()
    assert only(told, End).reason is code
    assert not [action for action in told if type(action) in {ToUpstream, Forward}]


def test_refusals_of_any_kind_add_up() -> None:
    rules = live()
    rules.from_browser(b"", NOW)
    rules.binary_from_browser(NOW)
    assert only(rules.from_browser(frame("text"), NOW), End).reason is FORBIDDEN


def test_flood_ends_the_session() -> None:
    rules = live(burst=3)
    for _ in range(3):
        assert rules.from_browser(chat(), NOW) is FORWARD
    assert only(rules.from_browser(chat(), NOW), End).reason is TOO_MANY


def test_received_counts_the_browser_s_frames_but_not_its_own_kind() -> None:
    rules = live()
    for payload in (
        *(chat(), b"not json", frame("made up"), frame("initialize")),
        frame("relay.received", count=0),
        chat()[:-1] + b',"name":"relay.mine"}',
    ):
        rules.from_browser(payload, NOW)
    assert rules.received == 4


# Confirmations


@pytest.mark.parametrize("pays", [True, False])
def test_confirmation_lets_frames_go(monkeypatch: pytest.MonkeyPatch, pays: bool) -> None:
    monkeypatch.setattr("app.protocol.session.FAST_PATH_ENABLED", pays)
    counters = FrameCounters()
    rules = live(counters=counters)
    rules.outgoing.append(b"frame")
    # As the browser client writes it, and as another may.
    assert rules.from_browser(b'{"type":"relay.received","count":1}', NOW) == (Acked(),)
    assert rules.outgoing.size == 0
    rules.outgoing.append(b"frame")
    assert rules.from_browser(frame("relay.received", count=2), NOW) == (Acked(),)
    assert rules.outgoing.size == 0
    assert counters.from_browser.frames["relay.received"] == 2
    odd = only(rules.from_browser(frame("relay.received", count="1"), NOW), Count)
    assert odd.name == "bad_confirmation"


def test_confirmations_that_make_progress_are_free_and_others_are_not() -> None:
    rules = live(burst=2)
    for at in range(1, 6):
        rules.outgoing.append(b"frame")
        assert rules.from_browser(frame("relay.received", count=at), NOW) == (Acked(),)
    again = frame("relay.received", count=5)
    assert [rules.from_browser(again, NOW) for _ in range(2)] == [(Acked(),)] * 2
    assert only(rules.from_browser(again, NOW), End).reason is TOO_MANY


# Pings


def test_ping_is_answered_and_counts_for_nothing() -> None:
    rules = live(burst=3)
    rules.from_browser(chat(), NOW)
    told = json.loads(only(rules.from_browser(frame("relay.ping"), NOW), Announce).payload)
    assert (told["name"], told["data"]) == ("relay.pong", {"received": 1})
    assert (rules.received, rules.outgoing.count) == (1, 0)
    rules.from_browser(frame("relay.ping"), NOW)
    assert only(rules.from_browser(frame("relay.ping"), NOW), End).reason is TOO_MANY


def test_browser_that_hung_up_is_told_from_one_that_did_not() -> None:
    for rules in (session(), live()):
        rules.from_browser(chat(), NOW)
        assert not rules.hung_up
        rules.from_browser(frame("terminate"), NOW)
        assert rules.hung_up


# From upstream


@pytest.mark.parametrize(
    "payload",
    [
        frame("text", content={"source": "assistant", "text": "hello"}),
        frame("text", content={}, name="named"),
        frame("event", name="opened"),
        frame("sdpInvite", data={}),
        frame("error", data={"message": "oh"}),
    ],
)
def test_known_frames_of_upstream_are_forwarded_as_they_came(payload: bytes) -> None:
    assert live().from_upstream(payload, NOW) is FORWARD


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        (frame("newType", data=1), "unknown_type"),
        (frame("text", content={}, novelty=1), "unknown_field"),
        (frame("event", name="x", novelty=1), "unknown_field"),
        (frame("event", name="x"), "unknown_event"),
        (frame("event"), "unknown_event"),
        (frame("event", name={"a": []}), "unknown_event"),
    ],
)
def test_unknown_types_and_fields_pass_and_are_counted(payload: bytes, count: str) -> None:
    assert live().from_upstream(payload, NOW) == (Count(count), Forward())


@pytest.mark.parametrize("kind", ["toolCall", "toolCallResult"])
def test_tool_frames_are_hidden_by_default(kind: str) -> None:
    assert live().from_upstream(frame(kind), NOW) == NOTHING
    assert live(hide=frozenset()).from_upstream(frame(kind), NOW) is FORWARD


@pytest.mark.parametrize("kind", ["text", "sdpInvite", "newType"])
def test_any_type_can_be_hidden(kind: str) -> None:
    told = live(hide=frozenset({kind})).from_upstream(frame(kind, content={}), NOW)
    assert not [action for action in told if type(action) is Forward]


@pytest.mark.parametrize(
    "payload", [frame("relay.session"), frame("event", name="relay.session"), frame("relay.x")]
)
def test_upstream_cannot_speak_as_the_gateway(payload: bytes) -> None:
    assert live().from_upstream(payload, NOW) == (Count("spoofed_upstream"),)


@pytest.mark.parametrize("written", [b"+", b"\\u002B"], ids=["raw", "as .NET escapes it"])
def test_frame_with_the_key_in_it_is_withheld(written: bytes) -> None:
    rules = live(secrets=frozenset({b"canary+key"}))
    said = frame("error", data={"message": "bad key canary+key"})
    told = rules.from_upstream(said.replace(b"+", written), NOW)
    assert only(told, Count).name == "secret_withheld"
    shown = only(told, ToBrowser).payload
    assert b"canary" not in shown
    assert json.loads(shown)["data"]["code"] == UPSTREAM_FAILED.code


def test_error_before_anything_else_means_that_upstream_refused() -> None:
    told = opened().from_upstream(frame("error", data={"message": "Invalid token"}), NOW)
    assert told == (
        VendorRefused(ERRORS["invalid token"], "Invalid token"),
        End(UPSTREAM_FAILED),
    )
    told = opened().from_upstream(frame("error", data={"message": "Out of order"}), NOW)
    assert told == (VendorRefused(UNKNOWN_ERROR, "Out of order"), End(UPSTREAM_FAILED))


def test_a_full_account_is_no_failure_of_the_vendor_s() -> None:
    rules = opened()
    told = rules.from_upstream(frame("error", data={"message": "Concurrent limit exceeded"}), NOW)
    assert told[-1] == End(OVERLOADED)
    assert rules.phase is Phase.OPEN


def test_a_known_error_in_mid_conversation_says_why_the_socket_ends_soon_after() -> None:
    rules = live()
    told = frame("error", data={"message": "Too large message"})
    refused = VendorRefused(ERRORS["too large message"], "Too large message")
    assert rules.from_upstream(told, NOW) == (refused, Forward())
    assert rules.upstream_lost(1000, NOW + 1) is FRAME_TOO_LARGE
    assert rules.upstream_lost(1006, NOW + 60) is UPSTREAM_FAILED
    assert rules.from_upstream(frame("error", data={"message": "New"}), NOW) == (Forward(),)
    rules.from_upstream(frame("conversationResult"), NOW)
    assert rules.upstream_lost(1006, NOW + 1) is ENDED


def test_failed_open_ends_the_conversation_unless_it_has_ended() -> None:
    payload = frame("event", name="failedOpen", data={"reason": "Busy"})
    rules = live()
    assert rules.from_upstream(payload, NOW) == (
        VendorRefused(FAILED_OPEN, "Busy"),
        Forward(),
        End(UPSTREAM_FAILED),
    )
    rules.from_upstream(frame("conversationResult"), NOW)
    assert rules.from_upstream(payload, NOW) == (Forward(),)


def test_an_offer_is_sent_under_both_names_where_the_profile_says_so() -> None:
    payload = frame("sdpInvite", data={"invite": "v=0"})
    assert live().from_upstream(payload, NOW)[0] == Forward()
    told = live(both_sdp_fields=True).from_upstream(payload, NOW)
    shown = json.loads(only(told, ToBrowser).payload)
    assert shown["data"] == {"invite": "v=0", "sdpOffer": "v=0"}


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'{"no":"type"}', frame("websocketToolRequest"), None]
)
def test_malformed_frames_are_dropped_and_the_third_means_failure(payload: bytes | None) -> None:
    rules = live()

    def say() -> Any:
        if payload is None:
            return rules.malformed_from_upstream()
        return rules.from_upstream(payload, NOW)

    assert [say() for _ in range(2)] == [(Count("malformed_upstream"),)] * 2
    assert say() == (Count("malformed_upstream"), End(UPSTREAM_FAILED))
    assert say() == NOTHING


@pytest.mark.parametrize(
    "payload", [frame("conversationResult", result={}), frame("event", name="closed")]
)
@pytest.mark.parametrize("begin", [opened, live])
def test_announced_end_is_forwarded_and_awaited(payload: bytes, begin: Any) -> None:
    rules = begin()
    assert rules.from_upstream(payload, NOW) == (Forward(), AwaitUpstreamClose())
    assert rules.phase is Phase.CLOSING
    assert rules.from_upstream(payload, NOW) == (Forward(), AwaitUpstreamClose())


@pytest.mark.parametrize(
    ("begin", "code", "reason"),
    [
        (session, 1000, UPSTREAM_FAILED),
        (opened, 1000, UPSTREAM_FAILED),
        (live, 1000, ENDED),
        (live, 1006, UPSTREAM_FAILED),
        (live, 1011, UPSTREAM_FAILED),
    ],
)
def test_loss_of_upstream_is_a_failure_unless_it_ended_well(
    begin: Any, code: int, reason: Any
) -> None:
    assert begin().upstream_lost(code, NOW) is reason


@pytest.mark.parametrize("code", [1000, 1006, 1011])
def test_any_loss_after_the_announced_end_is_normal(code: int) -> None:
    rules = live()
    rules.from_upstream(frame("conversationResult"), NOW)
    assert rules.upstream_lost(code, NOW) is ENDED


# Tools


def test_registered_tool_is_run_and_not_shown() -> None:
    told = live().from_upstream(asks("1"), NOW)
    call = only(told, RunTool).call
    assert (call.id, call.name, call.args) == ("1", "look_up", {"n": 1})
    assert len(told) == 1


def test_result_answers_the_agent_on_its_channel() -> None:
    rules = live()
    rules.from_upstream(asks("1"), NOW)
    told = rules.tool_finished(ToolResult("1", {"found": True}, Outcome.OK), NOW)
    made = json.loads(only(told, ToUpstream).payload)
    assert made["content"] == {"id": "1", "result": {"found": True}}
    assert made["channelId"] == "c-1"


def test_repeated_id_gets_the_same_answer_without_running_again() -> None:
    rules = live()
    rules.from_upstream(asks("1"), NOW)
    assert rules.from_upstream(asks("1"), NOW) == (Count("repeated_tool_id"),)
    first = only(rules.tool_finished(ToolResult("1", 1, Outcome.OK), NOW), ToUpstream)
    again = rules.from_upstream(asks("1", "another"), NOW + 60)
    assert again == (Count("repeated_tool_id"), first)


def test_second_result_for_one_id_goes_nowhere() -> None:
    rules = live()
    rules.from_upstream(asks("1"), NOW)
    rules.tool_finished(ToolResult("1", 1, Outcome.OK), NOW)
    assert rules.tool_finished(ToolResult("1", 2, Outcome.OK), NOW) == NOTHING
    assert rules.tool_finished(ToolResult("never asked", 2, Outcome.OK), NOW) == NOTHING


def test_a_request_that_a_guardrail_blocks_is_answered_once() -> None:
    rules = live()
    told = rules.block_request(json.loads(asks("1")), "Not that.", NOW)
    first = only(told, ToUpstream)
    made = json.loads(first.payload)
    assert made["content"]["result"] == {"error": {"code": "blocked", "message": "Not that."}}
    assert made["channelId"] == "c-1"
    assert only(told, ToolSettled).outcome is Outcome.BLOCKED
    again = rules.block_request(json.loads(asks("1")), None, NOW)
    assert again == (Count("repeated_tool_id"), first)


def test_a_request_that_runs_already_is_not_answered_by_a_guardrail() -> None:
    rules = live()
    rules.from_upstream(asks("1"), NOW)
    assert rules.block_request(json.loads(asks("1")), None, NOW) == NOTHING
    rules.close()
    assert rules.block_request(json.loads(asks("2")), None, NOW) == NOTHING


def test_a_frame_that_a_guardrail_withholds_is_received_and_told() -> None:
    rules = live(burst=2)
    for count in (1, 2):
        (told,) = rules.withhold(100, "Not that.", NOW)
        assert type(told) is ToBrowser
        assert json.loads(told.payload)["data"] == {"message": "Not that."}
        assert (rules.received, rules.size_received) == (count, 100 * count)
    assert only(rules.withhold(100, "Not that.", NOW), End).reason is TOO_MANY
    rules.close()
    assert rules.withhold(100, "Not that.", NOW) == NOTHING


@pytest.mark.parametrize("name", ["nobody", "", None, 5, ["look_up"]])
def test_unknown_tool_is_answered_at_once(name: Any) -> None:
    told = live().from_upstream(asks("1", name), NOW)
    made = json.loads(only(told, ToUpstream).payload)
    assert made["content"]["result"]["error"]["code"] == "unknown"
    assert only(told, ToolSettled).outcome is Outcome.UNKNOWN
    assert not [action for action in told if type(action) is Forward]


def test_profile_says_which_tools_its_agent_may_call() -> None:
    rules = Session(
        "s-1",
        Profile("support", tools=frozenset({"a"})),
        frozenset({"a", "b"}),
        TokenBucket(20, 60),
        ReplayBuffer(None),
        FrameCounters(),
    )
    rules.open(INITIALIZE)
    assert only(rules.from_upstream(asks("1", "a"), NOW), RunTool)
    told = rules.from_upstream(asks("2", "b"), NOW)
    assert only(told, ToolSettled).outcome is Outcome.UNKNOWN


def test_too_many_calls_at_once_are_answered_as_busy() -> None:
    rules = live()
    for at in range(MAX_RUNNING):
        rules.from_upstream(asks(str(at), "look_up" if at % 2 else "show"), NOW)
    told = rules.from_upstream(asks("one more"), NOW)
    assert only(told, ToolSettled).outcome is Outcome.BUSY


@pytest.mark.parametrize("call_id", [None, 7, "x" * (MAX_CALL_ID + 1), {}])
def test_request_with_an_odd_id_is_malformed(call_id: Any) -> None:
    assert live().from_upstream(asks(call_id), NOW) == (Count("malformed_upstream"),)


def test_browser_tool_is_shown_and_its_answer_forwarded_once() -> None:
    rules = live()
    told = rules.from_upstream(asks("1", "show"), NOW)
    assert told[0] == Forward()
    call = only(told, AwaitBrowserTool).call
    assert rules.from_browser(answers("1"), NOW) == (
        ToUpstream(answers("1")),
        ToolSettled(call, Outcome.OK),
    )
    assert rules.from_browser(answers("1", 2), NOW) == NOTHING
    again = rules.from_upstream(asks("1", "show"), NOW)
    assert only(again, ToUpstream).payload == answers("1")


def test_browser_that_answers_too_late_is_not_to_blame() -> None:
    rules = live()
    rules.from_upstream(asks("1", "show"), NOW)
    rules.tool_finished(ToolResult("1", {"error": {}}, Outcome.TIMEOUT), NOW)
    for _ in range(5):
        assert rules.from_browser(answers("1"), NOW) == NOTHING


def test_browser_cannot_answer_for_the_backend() -> None:
    rules = live()
    rules.from_upstream(asks("1"), NOW)
    told = rules.from_browser(answers("1", "forged"), NOW)
    assert only(told, Count).name == "unasked_response"
    made = only(rules.tool_finished(ToolResult("1", "true", Outcome.OK), NOW), ToUpstream)
    assert b"forged" not in made.payload


def test_unanswered_request_is_asked_again_of_a_browser_that_had_it() -> None:
    rules = live()
    rules.from_upstream(asks("1", "show"), NOW)
    rules.outgoing.append(asks("1", "show"))
    assert rules.unanswered(0) == ()
    assert rules.unanswered(1) == (asks("1", "show"),)
    rules.outgoing.append(asks("1", "show"))
    assert rules.unanswered(1) == ()
    rules.from_browser(answers("1"), NOW)
    assert rules.unanswered(2) == ()


# The end


def test_terminate_asks_upstream_to_end_once() -> None:
    rules = live()
    told = rules.terminate(NOW)
    assert json.loads(only(told, ToUpstream).payload)["type"] == "terminate"
    assert told[1] == AwaitUpstreamClose()
    assert rules.terminate(NOW) == NOTHING


def test_terminate_before_the_beginning_says_nothing() -> None:
    assert session().terminate(NOW) == NOTHING


def test_nothing_happens_after_the_close() -> None:
    rules = live()
    rules.from_upstream(asks("1"), NOW)
    rules.close()
    rules.close()
    assert rules.from_browser(chat(), NOW) == NOTHING
    assert rules.binary_from_browser(NOW) == NOTHING
    assert rules.from_upstream(frame("text"), NOW) == NOTHING
    assert rules.tool_finished(ToolResult("1", 1, Outcome.OK), NOW) == NOTHING
    assert rules.terminate(NOW) == NOTHING
    assert rules.received == 0


def test_numbers_that_no_double_holds_are_no_reason_to_drop_a_frame() -> None:
    rules = live()
    digits = "7" * 400
    call = json.loads(asks("1", "look_up"))
    call["content"]["args"] = int(digits)
    call["channelId"] = 2**70
    action = only(rules.from_upstream(json.dumps(call).encode(), NOW), RunTool)
    assert action.call.args == int(digits)
    sent = only(rules.tool_finished(ToolResult("1", int(digits), Outcome.OK), NOW), ToUpstream)
    assert digits.encode() in sent.payload
    assert str(2**70).encode() in sent.payload
    other = json.dumps({"type": "event", "name": "opened", "data": int(digits)}).encode()
    assert rules.from_upstream(other, NOW) == (Forward(),)
    broken = other[:-1]
    assert only(rules.from_upstream(broken, NOW), Count).name == "malformed_upstream"


def test_terminate_of_another_page_ends_the_conversation_without_a_second_one() -> None:
    rules = live()
    rules.terminated_by_page()
    assert (rules.phase, rules.hung_up) == (Phase.CLOSING, True)
    assert rules.terminate(NOW) == NOTHING


def test_terminate_of_another_page_after_the_end_changes_no_phase() -> None:
    rules = live()
    rules.close()
    rules.terminated_by_page()
    assert rules.phase is Phase.CLOSED


# While a person has taken over


def taken_over(**given: Any) -> tuple[Session, Takeover]:
    rules, takeover = live(**given), Takeover("Ann", NOW)
    rules.take_over(takeover)
    return rules, takeover


def text(source: str, said: str, **more: Any) -> bytes:
    return frame("text", content={"source": source, "text": said}, **more)


def test_each_side_is_held_from_the_other_and_the_rest_passes() -> None:
    rules, takeover = taken_over()
    assert rules.from_upstream(text("assistant", "hello"), NOW) is HELD
    assert rules.from_upstream(text("assistant", "hello", new=1), NOW) is HELD
    assert rules.from_upstream(text("user", "sent before"), NOW) is FORWARD
    assert rules.from_upstream(frame("event", name="opened"), NOW) is FORWARD
    [shown] = rules.from_browser(chat("is this a person?"), NOW)
    assert isinstance(shown, Publish)
    assert json.loads(shown.payload)["content"] == {"source": "user", "text": "is this a person?"}
    assert takeover.summary().endswith("User: is this a person?")
    assert only(rules.from_browser(frame("terminate"), NOW), ToUpstream)


def test_agent_speaks_again_afterwards_and_its_echo_of_the_summary_is_shown_to_no_page() -> None:
    rules, _ = taken_over()
    rules.take_over(None)
    rules.hide_echo("what was said")
    assert rules.from_upstream(text("user", "something else"), NOW) is FORWARD
    assert rules.from_upstream(text("user", "what was said"), NOW) is HELD_ECHO
    assert rules.from_upstream(text("user", "what was said"), NOW) is FORWARD
    assert rules.from_upstream(text("assistant", "I see"), NOW) is FORWARD
    assert rules.from_browser(chat("hello"), NOW) is FORWARD


def test_tools_are_answered_with_taken_over_and_earlier_ones_go_on() -> None:
    rules = live()
    rules.from_upstream(asks("1", "look_up"), NOW)
    rules.from_upstream(asks("2", "show"), NOW)
    rules.take_over(Takeover("Ann", NOW))
    for number, name in enumerate(("look_up", "show", "other"), 3):
        actions = rules.from_upstream(asks(str(number), name), NOW)
        told = json.loads(only(actions, ToUpstream).payload)["content"]
        assert (told["id"], told["result"]["error"]["code"]) == (str(number), "taken_over")
        assert only(actions, ToolSettled).outcome is Outcome.TAKEN_OVER
    assert rules.tool_finished(ToolResult("1", 1, Outcome.OK), NOW)
    assert only(rules.from_browser(answers("2"), NOW), ToUpstream)


@pytest.mark.parametrize(
    ("tools", "registered", "runs"),
    [
        (frozenset({"request_human"}), frozenset(), "here"),
        (frozenset({"request_human"}), frozenset({"request_human"}), "there"),
        (frozenset(), frozenset(), None),
        (None, frozenset(), None),
    ],
)
def test_agent_asks_for_a_person_where_its_profile_lists_the_tool(
    tools: frozenset[str] | None, registered: frozenset[str], runs: str | None
) -> None:
    rules = opened_with(tools, registered)
    payload = frame(
        "websocketToolRequest",
        content={"id": "1", "toolName": "request_human", "args": {"reason": "angry"}},
    )
    actions = rules.from_upstream(payload, NOW)
    if runs == "there":
        assert only(actions, RunTool).call.name == "request_human"
        return
    result = json.loads(only(actions, ToUpstream).payload)["content"]["result"]
    if runs == "here":
        assert result["requested"] is True
        assert only(actions, WantHuman).reason == "angry"
        assert rules.from_upstream(payload, NOW)[0] == Count("repeated_tool_id")
    else:
        assert result["error"]["code"] == "unknown"


def opened_with(tools: frozenset[str] | None, registered: frozenset[str]) -> Session:
    rules = Session(
        "s-1",
        Profile("support", tools=tools),
        registered,
        TokenBucket(20, 100),
        ReplayBuffer(None),
        FrameCounters(),
    )
    rules.open(INITIALIZE)
    rules.from_upstream(frame("event", name="connection"), NOW)
    return rules


def test_the_users_approval_is_not_forwarded_and_not_counted() -> None:
    rules = live()
    said = b'{"type":"relay.approval","id":"1","approve":true}'
    assert rules.from_browser(said, NOW) == (DecideApproval("1", approve=True),)
    assert rules.received == 0
    misshapen = rules.from_browser(b'{"type":"relay.approval","id":"1"}', NOW)
    assert only(misshapen, Count).name == "bad_shape"
    assert rules.received == 0
