"""A tool that needs an approval: asked with its exact arguments, decided once, shown again."""

from __future__ import annotations

import asyncio
import json
from time import time
from typing import TYPE_CHECKING, Any

from app.protocol.approval import MAX_ARGS, SettledApproval
from app.protocol.control import Decide
from app.relay.lifecycle import EventType, LifecycleEvent
from tests.protocol.rules import asks, chat, frame
from tests.relay.stage import Stage
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.history.interface import ConversationStart, Direction
    from app.protocol.close_codes import CloseReason
    from app.protocol.tool import ToolCall, ToolResult
    from tests.support.memory import MemorySocket


class ToolRecorder:
    """Keeps the tool calls that history is told of; the rest of the port does nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, SettledApproval | None]] = []

    def started(self, start: ConversationStart) -> None: ...

    def frame(self, session_id: str, direction: Direction, at: float, payload: bytes) -> None: ...

    def ended(self, session_id: str, reason: CloseReason, at: float) -> None: ...

    def tool(
        self, _: str, call: ToolCall, result: ToolResult, *more: float | SettledApproval | None
    ) -> None:
        approval = more[2]
        assert approval is None or isinstance(approval, SettledApproval)
        self.calls.append((call.id, result.outcome.value, approval))

    def told(self) -> list[tuple[str, str, str | None, str | None]]:
        """Id, outcome, and what became of the approval by whom."""
        return [
            (call, outcome, None if a is None else a.state, None if a is None else a.by)
            for call, outcome, a in self.calls
        ]


BY_USER = {"approve": {"look_up": "user"}}
BY_OPERATOR = {"approve": {"look_up": "operator"}}


def says(call_id: str, approve: object) -> bytes:
    return json.dumps({"type": "relay.approval", "id": call_id, "approve": approve}).encode()


def asked(socket: MemorySocket, name: str = "relay.approval_request") -> list[Mapping[str, Any]]:
    return [each["data"] for each in socket.frames if each.get("name") == name]


def answers(stage: Stage) -> list[Any]:
    kind = "websocketToolResponse"
    return [each["content"]["result"] for each in stage.vendor.frames if each["type"] == kind]


async def test_an_approved_tool_runs_once_with_the_arguments_that_were_shown() -> None:
    async with Stage(profile=BY_USER) as stage:
        await stage.live()
        stage.gate.open.set()
        stage.vendor.say(asks("1"))
        await until(lambda: asked(stage.browser))
        (shown,) = asked(stage.browser)
        assert (shown["id"], shown["tool"], shown["args"]) == ("1", "look_up", {"n": 1})
        assert stage.gate.asked == []
        stage.browser.say(says("1", True), says("1", True), says("1", False))
        await until(lambda: answers(stage))
        assert answers(stage) == [{"asked": {"n": 1}}]
        assert len(stage.gate.asked) == 1
        settled = asked(stage.browser, "relay.approval_settled")
        assert settled == [{"id": "1", "approved": True}]


async def test_a_declined_tool_does_not_run_and_the_agent_is_told() -> None:
    async with Stage(profile=BY_USER) as stage:
        await stage.live()
        stage.vendor.say(asks("1"))
        await until(lambda: asked(stage.browser))
        stage.browser.say(says("1", False), says("1", True))
        await until(lambda: answers(stage))
        assert answers(stage) == [
            {"error": {"code": "not_approved", "message": "The user declined this call."}}
        ]
        assert stage.gate.asked == []


async def test_no_answer_in_time_is_a_no() -> None:
    async with Stage(profile=BY_OPERATOR, tool_timeout=0.05) as stage:
        await stage.live()
        stage.vendor.say(asks("1"))
        await until(lambda: answers(stage))
        (answer,) = answers(stage)
        assert answer["error"]["code"] == "not_approved"
        assert "in time" in answer["error"]["message"]
        assert stage.gate.asked == []
        late = stage.relay.controlled().apply(Decide("d", "1", approve=True, by="eve"))
        assert (late.status, late.body["approve"]) == (409, False)


async def test_an_operators_call_is_not_the_pages_to_decide() -> None:
    async with Stage(profile=BY_OPERATOR) as stage:
        await stage.live()
        stage.gate.open.set()
        stage.vendor.say(asks("1"))
        await until(lambda: stage.relay.tools_running == 1)
        await asyncio.sleep(0)  # its task asks
        stage.browser.say(says("1", True), says("none", True))
        assert asked(stage.browser) == []
        decided = stage.relay.controlled().apply(Decide("d1", "1", approve=True, by="eve"))
        assert (decided.status, dict(decided.body)) == (
            200,
            {"id": "1", "approve": True, "by": "eve"},
        )
        other = stage.relay.controlled().apply(Decide("d2", "1", approve=False, by="bob"))
        assert (other.status, other.body["by"]) == (409, "eve")
        await until(lambda: answers(stage))
        assert answers(stage) == [{"asked": {"n": 1}}]


async def test_the_users_call_is_not_an_operators_to_decide() -> None:
    async with Stage(profile=BY_USER) as stage:
        await stage.live()
        stage.vendor.say(asks("1"))
        await until(lambda: asked(stage.browser))
        control = stage.relay.controlled()
        assert control.apply(Decide("d1", "1", approve=True, by="eve")).status == 409
        assert control.apply(Decide("d2", "2", approve=True, by="eve")).status == 404
        assert stage.gate.asked == []


async def test_a_page_that_comes_back_is_asked_again_and_counts_nothing() -> None:
    async with Stage(profile=BY_USER) as stage:
        await stage.live()
        stage.browser.say(chat("one"))
        stage.vendor.say(asks("1"))
        await until(lambda: asked(stage.browser))
        received = stage.relay.session.outgoing.count
        stage.browser.drop()
        later = stage.back(received)
        assert [shown["id"] for shown in asked(later)] == ["1"]
        assert later.frames[0]["data"] == {"replayed": 0, "received": 1}
        stage.gate.open.set()
        later.say(says("1", True))
        await until(lambda: answers(stage))
        assert stage.relay.session.received == 1
        again = stage.back(received)
        assert asked(again) == []


async def test_arguments_that_do_not_fit_or_cannot_be_shown_are_not_asked_about() -> None:
    large = {"text": "x" * MAX_ARGS}
    async with Stage(profile=BY_USER) as stage:
        await stage.live()
        for call_id, args in (("1", {"refused": 1}), ("2", large)):
            content = {"id": call_id, "toolName": "look_up", "args": args}
            stage.vendor.say(frame("websocketToolRequest", channelId=None, content=content))
        await until(lambda: len(answers(stage)) == 2)
        codes = [answer["error"]["code"] for answer in answers(stage)]
        assert codes == ["bad_args", "not_approved"]
        assert asked(stage.browser) == []


async def test_calls_that_wait_take_no_other_tools_place() -> None:
    async with Stage(profile=BY_USER, tool_concurrency=1) as stage:
        await stage.live()
        stage.gate.open.set()
        stage.vendor.say(asks("1"), asks("2"), asks("3"))
        await until(lambda: len(asked(stage.browser)) == 3)
        stage.browser.say(says("3", True))
        await until(lambda: answers(stage))
        stage.browser.say(says("1", True), says("2", True))
        await until(lambda: len(answers(stage)) == 3)
        assert [args for args, _ in stage.gate.asked] == [{"n": 1}] * 3


async def test_the_end_of_the_conversation_cancels_what_waits() -> None:
    async with Stage(profile=BY_USER) as stage:
        await stage.live()
        stage.vendor.say(asks("1"))
        await until(lambda: asked(stage.browser))
        stage.browser.say(frame("terminate"))
        stage.vendor.drop()
        await stage.over()
        assert stage.gate.asked == []


async def test_history_is_told_who_decided_on_each_call_whatever_became_of_it() -> None:
    recorder = ToolRecorder()
    begun = time()
    async with Stage(profile=BY_USER, recorder=recorder, tool_concurrency=1) as stage:
        await stage.live()
        names = ("declined", "large", "runs", "waits", "undecided")
        for name in names:
            args = {"n": "x" * MAX_ARGS} if name == "large" else {"n": 1}
            content = {"id": name, "toolName": "look_up", "args": args}
            stage.vendor.say(frame("websocketToolRequest", channelId="c-1", content=content))
        await until(lambda: len(asked(stage.browser)) == len(names) - 1)
        stage.browser.say(says("declined", False), says("runs", True), says("waits", True))
        await until(lambda: len(answers(stage)) == 2 and stage.gate.asked)
        stage.browser.say(frame("terminate"))
        stage.vendor.drop()
        await stage.over()
    assert sorted(recorder.told()) == [
        ("declined", "not_approved", "declined", "user"),
        ("large", "not_approved", "too_large", None),
        ("runs", "cancelled", "approved", "user"),
        ("waits", "cancelled", "approved", "user"),
    ]
    assert all(begun <= a.at <= time() for _, _, a in recorder.calls if a is not None)


async def test_a_call_that_expires_or_needs_no_approval_is_told_as_such() -> None:
    recorder = ToolRecorder()
    profile = {"approve": {"look_up": "operator"}}
    async with Stage(profile=profile, recorder=recorder, tool_timeout=0.05) as stage:
        await stage.live()
        stage.vendor.say(asks("late"), asks("none", "no_such_tool"))
        await until(lambda: len(recorder.calls) == 2)
    assert sorted(recorder.told()) == [
        ("late", "not_approved", "expired", None),
        ("none", "unknown", None, None),
    ]


async def test_the_event_of_an_approved_call_that_failed_says_who_approved_it() -> None:
    events: list[LifecycleEvent] = []

    class Receiver:
        def emit(self, event: LifecycleEvent) -> None:
            events.append(event)

    async with Stage(profile=BY_USER, lifecycle=Receiver()) as stage:
        await stage.live()
        stage.gate.timeout = 0.05
        stage.vendor.say(asks("1"))
        await until(lambda: asked(stage.browser))
        stage.browser.say(says("1", True))
        await until(lambda: any(event.type == EventType.TOOL_FAILED for event in events))
    (failed,) = [event for event in events if event.type == EventType.TOOL_FAILED]
    approval = failed.data["approval"]
    assert (failed.data["outcome"], approval["state"], approval["by"]) == (
        "timeout",
        "approved",
        "user",
    )
    assert approval["at"] <= failed.at


async def test_a_misshapen_answer_is_refused_with_a_sentence() -> None:
    async with Stage(profile=BY_USER) as stage:
        await stage.live()
        stage.browser.say(says("1", "yes"))
        await until(lambda: stage.browser.kinds[-1] == "error")
        assert "approve as true or false" in stage.browser.frames[-1]["data"]["message"]
        assert not stage.done
