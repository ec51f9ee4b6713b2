"""A conversation from its first frame to its last, with both peers here all the time."""

from __future__ import annotations

import asyncio
import json
from time import time
from typing import Any

import pytest

from app.protocol.close_codes import DRAINING, UPSTREAM_FAILED, UPSTREAM_TIMEOUT
from app.protocol.errors import UpstreamError
from tests.protocol.rules import answers, asks, chat, frame
from tests.relay.stage import Stage, text
from tests.support.memory import MemorySocket
from tests.support.waiting import until


async def test_session_event_comes_first_and_offers_to_resume() -> None:
    async with Stage() as stage:
        await until(lambda: stage.browser.sent)
        first = stage.browser.frames[0]
        assert (first["type"], first["name"]) == ("event", "relay.session")
        assert first["data"]["resume"] == {"token": "s-1.token", "window": 30.0}


async def test_browser_of_the_vendor_s_kind_is_offered_nothing() -> None:
    async with Stage(native=False) as stage:
        await until(lambda: stage.browser.sent)
        assert stage.browser.frames[0]["data"]["resume"] is None


async def test_early_frames_wait_until_upstream_is_ready() -> None:
    async with Stage() as stage:
        stage.browser.say(chat("one"), chat("two"))
        await until(lambda: stage.dialled)
        assert stage.vendor.sent == []
        stage.ready.set()
        await until(lambda: len(stage.vendor.sent) == 3)
        assert stage.vendor.kinds[0] == "initialize"
        assert stage.vendor.sent[1:] == [chat("one"), chat("two")]


async def test_frames_pass_both_ways_as_they_came() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.browser.say(chat("a"), chat("b"))
        stage.vendor.say(text("c"), text("d"))
        assert stage.vendor.sent[1:] == [chat("a"), chat("b")]
        assert stage.browser.sent[-2:] == [text("c"), text("d")]


async def test_upstream_that_speaks_with_its_handshake_is_heard_after_initialize() -> None:
    async with Stage() as stage:
        stage.vendor.say(frame("event", name="connection"), asks("1", "nobody"))
        stage.ready.set()
        await until(lambda: len(stage.vendor.sent) == 2)
        assert stage.vendor.kinds == ["initialize", "websocketToolResponse"]
        assert stage.browser.kinds[-1] == "connection"


async def test_upstream_that_refuses_with_its_handshake_is_a_refusal() -> None:
    async with Stage() as stage:
        stage.vendor.say(frame("error", data={"message": "Invalid token canary-key"}))
        stage.ready.set()
        await stage.over()
        assert stage.browser.code == 4502
        assert b"Invalid token" not in b"".join(stage.browser.sent)


async def test_upstream_that_ends_with_its_handshake_crashes_nothing() -> None:
    async with Stage() as stage:
        stage.vendor.say(frame("event", name="closed"))
        stage.ready.set()
        await until(lambda: "closed" in stage.browser.kinds)
        stage.vendor.drop()
        await stage.over()
        assert stage.browser.code == 1000


async def test_vendor_style_browser_must_initialize() -> None:
    async with Stage(wait=0.05, demanded=True) as stage:
        await stage.over()
        assert stage.browser.ended == (4408, "idle")
        error = stage.browser.frames[-1]["data"]
        assert (error["message"], error["code"]) == ("Init message not received", 4408)
        assert stage.dialled == 0


async def test_browser_s_initialize_says_what_kind_of_call() -> None:
    async with Stage(wait=20.0, demanded=True) as stage:
        stage.browser.say(frame("initialize", request={"callType": "webCall"}))
        await stage.live()
        assert stage.vendor.frames[0]["devRequest"]["callType"] == "webCall"
        assert stage.vendor.kinds.count("initialize") == 1
        assert stage.browser.frames[0]["data"]["callType"] == "webCall"


async def test_browser_that_need_not_initialize_is_waited_for_briefly() -> None:
    async with Stage(wait=0.01) as stage:
        await stage.live()
        assert stage.vendor.frames[0]["devRequest"]["callType"] == "chat"


async def test_browser_that_leaves_before_it_initializes_is_no_failure() -> None:
    async with Stage(native=False, wait=20.0, demanded=True) as stage:
        stage.browser.leave()
        await stage.over()
        assert stage.dialled == 0
        labels = {"agent": "support", "call_type": "chat", "close_code": "1000"}
        assert stage.count("relay_sessions_total", **labels) == 1


async def test_call_type_that_is_not_allowed_is_refused() -> None:
    async with Stage(wait=20.0, profile={"call_types": frozenset()}) as stage:
        stage.browser.say(frame("initialize", request={"callType": "onPhone"}))
        await stage.over()
        assert stage.browser.code == 4403
        assert stage.dialled == 0


@pytest.mark.parametrize(("reason", "code"), [(UPSTREAM_FAILED, 4502), (UPSTREAM_TIMEOUT, 4504)])
async def test_failed_dial_is_told(reason: Any, code: int) -> None:
    refused = UpstreamError(reason, "canary-key refused")
    async with Stage(native=False, refused=refused) as stage:
        stage.ready.set()
        await stage.over()
        assert stage.browser.code == code
        assert stage.browser.frames[-1]["data"]["code"] == code
        assert b"canary" not in b"".join(stage.browser.sent)


async def test_upstream_that_stays_silent_is_given_up() -> None:
    async with Stage(native=False, initialize_timeout=0.05) as stage:
        stage.ready.set()
        await stage.over()
        assert stage.browser.code == 4504


async def test_silence_on_both_sides_ends_the_session() -> None:
    async with Stage(idle_timeout=0.1) as stage:
        await stage.live()
        await stage.over()
        assert stage.browser.code == 4408
        assert stage.vendor.kinds[-1] == "terminate"


async def test_longest_duration_ends_the_session() -> None:
    async with Stage(max_session=0.1) as stage:
        await stage.live()
        await stage.over()
        assert stage.browser.code == 4440


async def test_credential_that_runs_out_ends_the_session() -> None:
    async with Stage(expires=time() + 0.2) as stage:
        await stage.live()
        await stage.over()
        assert stage.browser.code == 4401
        assert "expired" in stage.browser.frames[-1]["data"]["message"]


@pytest.mark.parametrize("code", [1000, 1006, 1011])
async def test_any_end_after_the_announced_one_is_normal(code: int) -> None:
    async with Stage() as stage:
        await stage.live()
        stage.vendor.say(frame("conversationResult", result={"status": "Completed"}))
        stage.vendor.leave(code)
        await stage.over()
        assert stage.browser.code == 1000
        assert stage.browser.kinds[-1] == "conversationResult"


async def test_vendor_that_announced_its_end_and_stays_is_left() -> None:
    async with Stage(vendor=MemorySocket(polite=False), end_grace=0.02) as stage:
        await stage.live()
        stage.vendor.say(frame("event", name="closed"))
        await stage.over()
        assert stage.browser.code == 1000
        assert stage.vendor.code == 1000
        assert stage.vendor.aborted


async def test_lost_upstream_is_told() -> None:
    async with Stage(native=False) as stage:
        await stage.live()
        stage.vendor.drop()
        await stage.over()
        assert stage.browser.code == 4502
        assert stage.browser.frames[-1]["type"] == "error"


async def test_browser_that_leaves_ends_upstream() -> None:
    async with Stage(native=False) as stage:
        await stage.live()
        stage.browser.leave()
        await stage.over()
        assert stage.vendor.kinds == ["initialize", "terminate"]


async def test_backend_ends_both_with_its_reason() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.relay.end(DRAINING, retry_after=2.5)
        stage.relay.end(UPSTREAM_FAILED)
        await stage.over()
        assert stage.browser.ended == (1001, "draining")
        assert stage.browser.frames[-1]["data"]["retryAfter"] == 2.5
        assert stage.vendor.kinds[-1] == "terminate"


async def test_terminate_before_upstream_is_ready_ends_it_all() -> None:
    async with Stage() as stage:
        await until(lambda: stage.dialled)
        stage.browser.say(frame("terminate"))
        await stage.over()
        assert stage.browser.code == 1000
        assert stage.vendor.sent == []


@pytest.mark.parametrize(("code", "reason"), [(1007, 1007), (1009, 1009), (1002, 4400)])
async def test_broken_bytes_are_told_before_the_close(code: int, reason: int) -> None:
    async with Stage() as stage:
        await stage.live()
        stage.browser.break_off(code)
        assert stage.browser.frames[-1]["data"]["code"] == reason
        await stage.over()
        assert stage.vendor.kinds[-1] == "terminate"


async def test_binary_messages_are_refused_here_and_dropped_there() -> None:
    async with Stage(native=False) as stage:
        await stage.live()
        stage.browser.say_binary()
        assert stage.browser.frames[-1]["data"]["code"] == 4400
        for _ in range(3):
            stage.vendor.say_binary()
        await stage.over()
        assert stage.browser.code == 4502


async def test_crash_while_a_frame_passes_ends_this_session_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bug(*_: object) -> Any:
        raise ZeroDivisionError("boom")

    async with Stage(native=False) as broken, Stage(native=False) as sound:
        await broken.live()
        await sound.live()
        monkeypatch.setattr(broken.relay.observer, "tool_settled", bug)
        broken.vendor.say({"type": "websocketToolRequest", "content": {"id": "1"}})
        await broken.over()
        assert broken.browser.ended == (1011, "internal_error")
        assert broken.vendor.kinds[-1] == "terminate"
        sound.vendor.say(text("fine"))
        assert sound.browser.sent[-1] == text("fine")


# Reading and writing


async def test_slow_browser_stops_the_reading_of_upstream_until_it_catches_up() -> None:
    async with Stage(browser=MemorySocket(holds=True)) as stage:
        await stage.live()
        stage.vendor.say(text("x" * 70_000))
        assert not stage.vendor.reading
        stage.browser.read_on()
        assert stage.vendor.reading


async def test_browser_that_never_catches_up_is_let_go() -> None:
    browser = MemorySocket(holds=True)
    async with Stage(native=False, browser=browser, slow_reader_timeout=0.05) as stage:
        await stage.live()
        stage.vendor.say(text("x" * 70_000))
        await stage.over()
        assert browser.code == 4508
        browser.read_on()
        assert browser.frames[-1]["data"]["retry"] == "resume"


async def test_browser_that_is_too_far_behind_is_let_go_at_once() -> None:
    async with Stage(native=False, browser=MemorySocket(holds=True)) as stage:
        await stage.live()
        stage.vendor.say(*[text("x" * 70_000)] * 3)
        assert stage.browser.code == 4508
        await stage.over()


async def test_slow_vendor_stops_the_reading_of_the_browser() -> None:
    async with Stage(vendor=MemorySocket(holds=True)) as stage:
        stage.ready.set()
        await until(lambda: stage.vendor.write_buffer_size)
        stage.vendor.say(frame("event", name="connection"))
        stage.browser.say(chat("x" * 70_000))
        assert not stage.browser.reading
        stage.vendor.read_on()
        assert stage.browser.reading


# Tools


async def test_slow_tool_delays_nothing_and_is_answered() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.vendor.say(asks("1"))
        await until(lambda: stage.gate.asked)
        stage.vendor.say(text("meanwhile"))
        assert stage.browser.sent[-1] == text("meanwhile")
        stage.gate.open.set()
        await until(lambda: stage.vendor.kinds[-1] == "websocketToolResponse")
        answer = stage.vendor.frames[-1]
        assert answer["content"] == {"id": "1", "result": {"asked": {"n": 1}}}
        _, ctx = stage.gate.asked[0]
        assert (ctx.session_id, ctx.agent, ctx.call_id) == ("s-1", "support", "1")


async def test_tools_past_the_concurrency_wait_their_turn() -> None:
    async with Stage(tool_concurrency=2) as stage:
        await stage.live()
        stage.vendor.say(*[asks(str(at)) for at in range(5)])
        await until(lambda: len(stage.gate.asked) == 2)
        assert stage.relay.tools_running == 5
        stage.gate.open.set()
        await until(lambda: stage.vendor.kinds.count("websocketToolResponse") == 5)
        assert stage.relay.tools_running == 0


async def test_tool_that_still_runs_at_the_end_is_cancelled() -> None:
    async with Stage(native=False) as stage:
        await stage.live()
        stage.vendor.say(asks("1"), asks("2"), asks("3"))
        await until(lambda: len(stage.gate.asked) == 2)
        stage.browser.leave()
        await stage.over()
        assert stage.gate.cancelled == 2
        assert "websocketToolResponse" not in stage.vendor.kinds


async def test_tool_that_is_asked_for_after_the_end_is_not_run() -> None:
    vendor = MemorySocket(polite=False)
    async with Stage(native=False, vendor=vendor, end_grace=0.2) as stage:
        await stage.live()
        stage.browser.leave()
        await until(lambda: vendor.kinds[-1] == "terminate")
        vendor.say(asks("1"), asks("2", "show"))
        assert stage.relay.tools_running == 0
        vendor.leave()
        await stage.over()
        assert stage.gate.asked == []


async def test_browser_tool_is_answered_by_the_browser() -> None:
    async with Stage() as stage:
        await stage.live()
        stage.vendor.say(asks("1", "show"))
        assert stage.browser.sent[-1] == asks("1", "show")
        stage.browser.say(answers("1"))
        assert stage.vendor.sent[-1] == answers("1")
        assert stage.relay.tools_running == 0
        labels = {"tool": "show", "outcome": "ok"}
        assert stage.count("relay_tool_calls_total", **labels) == 1


async def test_browser_tool_that_is_not_answered_in_time_is_answered_for() -> None:
    async with Stage(tool_timeout=0.05) as stage:
        await stage.live()
        stage.vendor.say(asks("1", "show"))
        await until(lambda: stage.vendor.kinds[-1] == "websocketToolResponse")
        assert stage.vendor.frames[-1]["content"]["result"]["error"]["code"] == "timeout"
        sent = len(stage.vendor.sent)
        stage.browser.say(answers("1"))
        assert len(stage.vendor.sent) == sent
        labels = {"tool": "show", "outcome": "timeout"}
        assert stage.count("relay_tool_calls_total", **labels) == 1


async def test_nothing_is_left_running_after_the_end() -> None:
    before = asyncio.all_tasks()
    async with Stage(native=False) as stage:
        await stage.live()
        stage.vendor.say(asks("1"), asks("2", "show"))
        await until(lambda: stage.gate.asked)
        stage.browser.leave()
        await stage.over()
    assert asyncio.all_tasks() == before


async def test_watcher_sees_frames_and_the_end() -> None:
    seen: list[dict[str, Any]] = []
    async with Stage(native=False) as stage:
        await stage.live()
        stage.relay.observer.subscribers.callbacks.add(seen.append)
        stage.relay.update_observed()
        stage.vendor.say(text("watched"))
        stage.browser.say(chat("said"))
        stage.browser.leave()
        await stage.over()
    kinds = [(event["kind"], event.get("direction")) for event in seen]
    assert kinds[:2] == [("frame", "from_upstream"), ("frame", "from_browser")]
    assert (seen[-1]["kind"], seen[-1]["code"]) == ("end", 1000)
    assert json.dumps(seen)
