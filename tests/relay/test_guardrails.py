"""Guardrails in a conversation: what is judged, what waits, and what each verdict leads to."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from app.protocol.close_codes import UPSTREAM_FAILED
from app.protocol.errors import UpstreamError
from app.protocol.initialize import Profile
from app.relay import guarded_frames
from app.relay.guardrail_spec import GuardrailSpec
from app.relay.guardrails import Guardrail
from app.relay.lifecycle import EventType
from app.relay.page import PageRequest
from app.relay.relay import Relay
from blackbox_relay import GuardrailRequest, Verdict
from tests.relay.stage import Stage, text
from tests.support.memory import MemorySocket
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.history.interface import ConversationStart, Direction
    from app.protocol.approval import SettledApproval
    from app.protocol.close_codes import CloseReason
    from app.protocol.tool import ToolCall, ToolResult
    from app.relay.lifecycle import LifecycleEvent

MESSAGE = {"type": "incomingChatMessage", "timestamp": "t", "content": "hello"}


class Judge:
    """A guardrail that answers when the test lets it; `verdicts` by words in the text."""

    def __init__(self, verdicts: dict[str, Verdict] | None = None, *, held: bool = False) -> None:
        self.asked: list[GuardrailRequest] = []
        self.verdicts = verdicts or {}
        self.open = asyncio.Event()
        if not held:
            self.open.set()

    async def __call__(self, request: GuardrailRequest) -> object:
        self.asked.append(request)
        await self.open.wait()
        for word, verdict in self.verdicts.items():
            if word in request.text:
                if verdict.action == "mask" and verdict.text is None:
                    return {"action": "mask", "text": request.text.replace(word, "***")}
                return verdict
        return Verdict("pass")

    @property
    def texts(self) -> list[str]:
        """What was asked about."""
        return [request.text for request in self.asked]


def on(*directions: str, **more: Any) -> dict[str, Any]:
    return {"name": "judge", "on": directions, **more}


def message(content: str) -> dict[str, Any]:
    return MESSAGE | {"content": content}


def said(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["content"]["text"] for frame in frames if frame["type"] == "text"]


def told(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["data"]["message"] for frame in frames if frame["type"] == "error"]


def wrote(stage: Stage) -> list[str]:
    return [f["content"] for f in stage.vendor.frames if f["type"] == "incomingChatMessage"]


async def test_a_message_that_passes_is_relayed_as_it_came() -> None:
    judge = Judge()
    async with Stage(guardrails=[(on("user"), judge)]) as stage:
        await stage.live()
        raw = json.dumps(message("hello"), indent=1).encode()
        stage.browser.say(raw)
        await until(lambda: raw in stage.vendor.sent)
        assert judge.texts == ["hello"]
        assert (judge.asked[0].session_id, judge.asked[0].agent) == ("s-1", "support")
        assert stage.count("relay_guardrail_total", guardrail="judge", action="pass") == 1


async def test_a_blocked_message_never_reaches_the_agent_and_the_page_is_told() -> None:
    judge = Judge({"bomb": Verdict("block", message="Not that.")})
    async with Stage(guardrails=[(on("user"), judge)]) as stage:
        await stage.live()
        stage.browser.say(message("a bomb"), message("hello"))
        await until(lambda: wrote(stage) == ["hello"])
        assert told(stage.browser.frames) == ["Not that."]
        assert stage.relay.session.received == 2
        assert b"bomb" not in b"".join(stage.vendor.sent)


async def test_a_masked_message_is_relayed_masked() -> None:
    judge = Judge({"4111": Verdict("mask", "my card is [card]")})
    async with Stage(guardrails=[(on("user"), judge)]) as stage:
        await stage.live()
        stage.browser.say(message("my card is 4111"))
        await until(lambda: wrote(stage) == ["my card is [card]"])
        assert stage.vendor.frames[-1]["timestamp"] == "t"


@pytest.mark.parametrize("direction", ["user", "agent"])
async def test_a_guardrail_can_end_the_session_with_words_for_the_page(direction: str) -> None:
    judge = Judge({"bomb": Verdict("end", message="Goodbye.")})
    async with Stage(guardrails=[(on(direction), judge)]) as stage:
        await stage.live()
        if direction == "user":
            stage.browser.say(message("a bomb"), message("hello"))
        else:
            stage.vendor.say(text("a bomb"), text("hello"))
        await stage.over()
        assert stage.browser.code == 4403
        assert told(stage.browser.frames) == ["Goodbye."]
        assert wrote(stage) == []
        assert said(stage.browser.frames) == []


async def test_a_type_that_is_written_with_escapes_is_judged_all_the_same() -> None:
    judge = Judge({"bomb": Verdict("block", message="Not that.")})
    async with Stage(guardrails=[(on("user"), judge)]) as stage:
        await stage.live()
        stage.browser.say(
            b'{"type":"incomingChat\\u004dessage","timestamp":"t","content":"a \\u0062omb"}'
        )
        await until(lambda: told(stage.browser.frames) == ["Not that."])
        assert wrote(stage) == []


async def test_frames_of_a_direction_wait_in_order_and_the_other_direction_does_not() -> None:
    judge = Judge(held=True)
    async with Stage(guardrails=[(on("user"), judge)]) as stage:
        await stage.live()
        answer = {"type": "sdpAnswer", "data": {"sdpAnswer": "v=0"}, "timestamp": "t"}
        stage.browser.say(message("one"), answer, message("two"), {"type": "terminate"})
        stage.vendor.say(text("still here"))
        assert said(stage.browser.frames) == ["still here"]
        assert len(stage.vendor.sent) == 1
        await until(lambda: judge.asked)
        judge.open.set()
        kinds = ["initialize", "incomingChatMessage", "sdpAnswer", "incomingChatMessage"]
        await until(lambda: [f["type"] for f in stage.vendor.frames] == [*kinds, "terminate"])
        assert wrote(stage) == ["one", "two"]


async def test_another_session_does_not_wait() -> None:
    judge = Judge(held=True)
    async with Stage(guardrails=[(on("agent"), judge)]) as slow, Stage() as other:
        await slow.live()
        await other.live()
        slow.vendor.say(text("held"))
        other.vendor.say(text("quick"))
        assert said(other.browser.frames) == ["quick"]
        assert said(slow.browser.frames) == []


async def test_nothing_blocked_is_shown_though_it_comes_in_pieces() -> None:
    judge = Judge({"build a bomb": Verdict("block", message="Not that.")})
    async with Stage(guardrails=[(on("agent"), judge)]) as stage:
        await stage.live()
        stage.vendor.say(*(text(piece) for piece in ("You can ", "build a ", "bomb from ", "tea")))
        await until(lambda: len(judge.asked) == 4)
        await until(lambda: told(stage.browser.frames))
        assert said(stage.browser.frames) == ["You can ", "build a "]
        assert told(stage.browser.frames) == ["Not that."]  # once for the turn
        user = {"type": "text", "content": {"source": "user", "text": "And now?"}}
        stage.vendor.say(user, text("Something else."))
        await until(lambda: said(stage.browser.frames)[-1] == "Something else.")
        assert judge.texts[-1] == "Something else."


async def test_a_partial_text_is_judged_before_it_is_shown() -> None:
    judge = Judge({"bomb": Verdict("block", message="Not that.")})

    def partial(said: str) -> bytes:
        content = {"source": "assistant", "text": said, "type": "potential"}
        return json.dumps({"type": "text", "content": content}).encode()

    async def asked_last(said: str) -> None:
        await until(lambda: judge.texts[-1:] == [said])

    async with Stage(guardrails=[(on("agent"), judge)]) as stage:
        await stage.live()
        for growing in ("A", "A bo", "A bomb"):
            stage.vendor.say(partial(growing))
            await asked_last(growing)
            gate = stage.relay.scope.guard.upstream  # type: ignore[union-attr]
            assert gate is not None
            await gate.idle()
        stage.vendor.say(text("A bomb!"))
        await until(lambda: told(stage.browser.frames))
        # The final text is the last partial one that was passed.
        assert said(stage.browser.frames) == ["A", "A bo", "A bo"]
        assert "type" not in stage.browser.frames[-2]["content"]
        assert [request.partial for request in judge.asked] == [True, True, True, False]


async def test_a_partial_text_that_a_newer_one_replaces_is_not_judged() -> None:
    judge = Judge(held=True)
    partials = [
        json.dumps(
            {
                "type": "text",
                "content": {"source": "assistant", "text": f"{n}", "type": "potential"},
            }
        ).encode()
        for n in range(5)
    ]
    async with Stage(guardrails=[(on("agent"), judge)]) as stage:
        await stage.live()
        stage.vendor.say(partials[0])
        await until(lambda: judge.asked)
        stage.vendor.say(*partials[1:], text("final"))
        judge.open.set()
        await until(lambda: said(stage.browser.frames)[-1:] == ["final"])
        assert judge.texts == ["0", "final"]


async def test_a_mask_over_two_pieces_changes_only_what_was_not_shown() -> None:
    judge = Judge({"4111 1111": Verdict("mask")})
    async with Stage(guardrails=[(on("agent"), judge)]) as stage:
        await stage.live()
        stage.vendor.say(text("Card 4111 "), text("1111 is"), text(" yours"))
        await until(lambda: len(said(stage.browser.frames)) == 3)
        assert said(stage.browser.frames) == ["Card 4111 ", "*** is", " yours"]


def request(name: str, args: Any, call_id: str = "c-1") -> dict[str, Any]:
    content = {"id": call_id, "toolName": name, "args": args}
    return {"type": "websocketToolRequest", "channelId": "x", "content": content}


def answers(stage: Stage) -> list[Any]:
    frames = [f for f in stage.vendor.frames if f["type"] == "websocketToolResponse"]
    return [frame["content"]["result"] for frame in frames]


@pytest.mark.parametrize("tool", ["look_up", "show"])
async def test_blocked_arguments_run_no_tool_and_the_agent_is_told(tool: str) -> None:
    judge = Judge({"drop table": Verdict("block", message="Not that.")})
    async with Stage(guardrails=[(on("tool_args"), judge)]) as stage:
        await stage.live()
        stage.vendor.say(request(tool, {"q": "drop table"}), request(tool, {"q": "drop table"}))
        await until(lambda: len(answers(stage)) == 2)
        assert answers(stage) == [{"error": {"code": "blocked", "message": "Not that."}}] * 2
        assert stage.gate.asked == []
        assert "websocketToolRequest" not in stage.browser.kinds
        assert judge.asked[0].tool == tool
        assert json.loads(judge.texts[0]) == {"q": "drop table"}


async def test_masked_arguments_reach_the_tool_and_masked_results_the_agent() -> None:
    args = Judge({"4111": Verdict("mask", '{"q": "[card]"}')})
    results = Judge({"[card]": Verdict("mask", '{"found": 17}')})
    rules = [
        ({"name": "a", "on": ["tool_args"]}, args),
        ({"name": "r", "on": ["tool_result"]}, results),
    ]
    async with Stage(guardrails=rules) as stage:
        await stage.live()
        stage.gate.open.set()
        stage.vendor.say(request("look_up", {"q": "4111"}))
        await until(lambda: answers(stage))
        assert stage.gate.asked[0][0] == {"q": "[card]"}
        assert answers(stage) == [{"found": 17}]
        assert json.loads(results.texts[0]) == {"asked": {"q": "[card]"}}


@pytest.mark.parametrize("tool", ["look_up", "show"])
async def test_a_blocked_result_is_an_error_for_the_agent(tool: str) -> None:
    judge = Judge({"secret": Verdict("block", message="Not that.")})
    async with Stage(guardrails=[(on("tool_result"), judge)]) as stage:
        await stage.live()
        stage.gate.open.set()
        stage.vendor.say(request(tool, {"q": "secret"}))
        if tool == "show":
            content = {"id": "c-1", "result": "secret"}
            stage.browser.say({"type": "websocketToolResponse", "content": content})
        await until(lambda: answers(stage))
        assert answers(stage) == [{"error": {"code": "blocked", "message": "Not that."}}]
        assert not stage.done


async def never(_: GuardrailRequest) -> object:
    await asyncio.sleep(600)
    return None


async def broken(_: GuardrailRequest) -> object:
    raise ValueError("canary: 4111 1111 1111 1111")


async def odd(_: GuardrailRequest) -> object:
    return {"action": "perhaps"}


async def stubborn(_: GuardrailRequest) -> object:
    """Ignores its cancellation for a while."""
    until = monotonic() + 0.5
    while (left := until - monotonic()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(left)
    return Verdict("pass")


@pytest.mark.parametrize("on_error", ["pass", "block"])
@pytest.mark.parametrize(
    ("hook", "cause"),
    [(never, "timeout"), (broken, "raised"), (odd, "no_verdict"), (stubborn, "timeout")],
)
async def test_a_guardrail_that_gives_no_verdict_does_what_on_error_says(
    hook: Any, cause: str, on_error: str
) -> None:
    rules = [(on("user", timeout=0.05, on_error=on_error), hook)]
    async with Stage(guardrails=rules) as stage:
        await stage.live()
        stage.browser.say(message("hello"))
        if on_error == "pass":
            await until(lambda: wrote(stage) == ["hello"])
        else:
            await until(lambda: told(stage.browser.frames))
            assert wrote(stage) == []
        assert stage.count("relay_guardrail_errors_total", guardrail="judge", cause=cause) == 1
        assert stage.count("relay_guardrail_total", guardrail="judge", action=on_error) == 1


async def test_guardrails_are_asked_in_order_and_the_first_to_block_wins() -> None:
    first, second = Judge({"a": Verdict("mask")}), Judge({"***": Verdict("block", message="2")})
    third = Judge()
    names = ("first", "second", "third")
    rules = [
        ({"name": name, "on": ["user"]}, judge)
        for name, judge in zip(names, (first, second, third), strict=True)
    ]
    async with Stage(guardrails=rules) as stage:
        await stage.live()
        stage.browser.say(message("abc"))
        await until(lambda: told(stage.browser.frames) == ["2"])
        assert (first.texts, second.texts, third.texts) == (["abc"], ["***bc"], [])


async def test_too_much_that_waits_stops_the_reading_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guarded_frames, "MAX_FRAMES", 4)
    judge = Judge(held=True)
    async with Stage(guardrails=[(on("user", "agent"), judge)]) as stage:
        await stage.live()
        stage.browser.say(*(message(f"{n}") for n in range(6)))
        stage.vendor.say(*(text(f"{n} ") for n in range(6)))
        assert [stage.browser.reading, stage.vendor.reading] == [False, False]
        stage.browser.say({"type": "relay.received", "count": 1})  # an ack resumes nothing
        assert not stage.vendor.reading
        judge.open.set()
        await until(lambda: len(wrote(stage)) == 6)
        await until(lambda: len(said(stage.browser.frames)) == 6)
        assert [stage.browser.reading, stage.vendor.reading] == [True, True]


async def test_the_vendor_s_end_is_heard_behind_what_it_said() -> None:
    judge = Judge(held=True)
    async with Stage(guardrails=[(on("agent"), judge)]) as stage:
        await stage.live()
        stage.vendor.say(text("bye"), {"type": "conversationResult", "result": {}})
        stage.vendor.leave()
        assert not stage.relay.is_ending
        await until(lambda: judge.asked)
        judge.open.set()
        await stage.over()
        assert said(stage.browser.frames) == ["bye"]
        assert stage.browser.kinds[-1] == "conversationResult"
        assert stage.browser.code == 1000


async def test_a_page_that_resumes_sends_again_what_was_not_judged() -> None:
    judge = Judge(held=True)
    async with Stage(guardrails=[(on("user"), judge)]) as stage:
        await stage.live()
        stage.browser.say(message("one"), message("two"))
        await until(lambda: judge.asked)
        stage.browser.drop()
        later = stage.back(1)
        assert later.frames[0]["data"]["received"] == 0
        judge.open.set()
        later.say(message("one"), message("two"))
        await until(lambda: len(wrote(stage)) >= 2)
        assert wrote(stage) == ["one", "two"]
        assert stage.relay.session.received == 2


async def test_what_a_page_wrote_before_it_left_still_arrives() -> None:
    judge = Judge(held=True)
    async with Stage(guardrails=[(on("user"), judge)]) as stage:
        await stage.live()
        stage.browser.say(message("one"))
        stage.browser.drop()
        await until(lambda: judge.asked)
        judge.open.set()
        await until(lambda: wrote(stage) == ["one"])


async def test_a_joined_page_that_is_sent_away_takes_what_waits_with_it() -> None:
    judge = Judge({"bomb": Verdict("block", message="Not that.")})
    rules = [(on("user"), judge)]
    async with Stage(guardrails=rules, chat_keep=5, frame_burst=3, frames_per_second=1) as stage:
        await stage.live()
        pages = stage.relay.pages
        assert pages is not None
        joined = MemorySocket()
        pages.join(joined, PageRequest("subject-1"))
        joined.say(*(message("a bomb") for _ in range(6)))
        await until(lambda: joined.code == 4429)
        assert pages.joined == []
        stage.browser.say(message("hello"))
        await until(lambda: wrote(stage) == ["hello"])
        assert not stage.relay.is_ending


async def test_every_page_is_told_what_was_withheld_of_the_agent() -> None:
    judge = Judge({"bomb": Verdict("block", message="Not that.")})
    async with Stage(guardrails=[(on("agent"), judge)], chat_keep=5) as stage:
        await stage.live()
        pages = stage.relay.pages
        assert pages is not None
        joined = MemorySocket()
        pages.join(joined, PageRequest("subject-1"))
        stage.vendor.say(text("tea. "), text("bomb"))
        await until(lambda: told(stage.browser.frames) == ["Not that."])
        await until(lambda: told(joined.frames) == ["Not that."])
        assert [said(page.frames) for page in (stage.browser, joined)] == [["tea. "], ["tea. "]]


class Kept:
    """A recorder and receiver of lifecycle events that keeps what it is told."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.events: list[LifecycleEvent] = []

    def started(self, start: ConversationStart) -> None: ...

    def frame(self, _session: str, _direction: Direction, _at: float, payload: bytes) -> None:
        self.frames.append(json.loads(payload))

    def tool(
        self,
        session_id: str,
        call: ToolCall,
        result: ToolResult,
        at: float,
        seconds: float,
        approval: SettledApproval | None = None,
    ) -> None: ...

    def ended(self, session_id: str, reason: CloseReason, at: float) -> None: ...

    def emit(self, event: LifecycleEvent) -> None:
        self.events.append(event)


async def test_each_verdict_is_kept_without_the_text_and_a_block_is_an_event() -> None:
    judge = Judge({"bomb": Verdict("block", message="Not that.")})
    kept = Kept()
    rules = [(on("user"), judge)]
    async with Stage(guardrails=rules, recorder=kept, lifecycle=kept) as stage:
        await stage.live()
        stage.browser.say(message("hello"), message("bomb"))
        await until(lambda: told(stage.browser.frames))
    verdicts = [f["data"] for f in kept.frames if f.get("name") == "relay.guardrail"]
    assert [(v["guardrail"], v["on"], v["action"]) for v in verdicts] == [
        ("judge", "user", "pass"),
        ("judge", "user", "block"),
    ]
    assert "bomb" not in json.dumps(kept.frames)
    (event,) = [e for e in kept.events if e.type is EventType.GUARDRAIL_BLOCKED]
    assert event.session_id == "s-1"
    assert event.data["guardrail"] == "judge"
    assert "relay.guardrail" not in stage.browser.kinds


async def test_without_a_guardrail_nothing_stands_between_socket_and_handler() -> None:
    async with Stage() as stage:
        relay = stage.relay
        assert relay.scope.guard is None
        assert relay.browser.text_received == relay.dispatcher.from_browser.text_received
        assert relay.upstream.text_received == relay.dispatcher.from_upstream.text_received
    only_user = [(on("user"), Judge())]
    async with Stage(guardrails=only_user) as stage:
        relay = stage.relay
        assert relay.upstream.text_received == relay.dispatcher.from_upstream.text_received


class StandIn(Stage):
    """A stage whose first agent cannot be dialled; another one stands in, with its guardrails."""

    def __init__(self, *, own: Judge, other: Judge) -> None:
        second = Profile("second", browser_tools=frozenset({"show"}))
        super().__init__(guardrails=[(on("user"), own)], profile={"fallback": second})
        dependencies = self.relay.scope.dependencies
        self.failing = replace(dependencies, dial=self.refuse, of_agent=lambda _: self.second)
        rule = Guardrail(GuardrailSpec(python="x:y", **on("user", "agent")), other, self.metrics)
        self.second = replace(dependencies, guardrails={"user": (rule,), "agent": (rule,)})
        conversation = self.relay.conversation
        self.relay = Relay(conversation, self.failing, self.relay.scope.limits)

    async def refuse(self, _: Profile) -> MemorySocket:
        """Fail to dial."""
        raise UpstreamError(UPSTREAM_FAILED, "refused")

    async def _dial(self, _: Profile) -> MemorySocket:
        await self.ready.wait()
        return self.vendor


async def test_the_agent_that_stands_in_is_judged_by_its_own_guardrails() -> None:
    own, other = Judge(), Judge({"bomb": Verdict("block", message="Not that.")})
    async with StandIn(own=own, other=other) as stage:
        await stage.live()
        stage.browser.say(message("a bomb"), message("tea"))
        stage.vendor.say(text("a bomb"))
        await until(lambda: wrote(stage) == ["tea"])
        await until(lambda: told(stage.browser.frames) == ["Not that."] * 2)
        assert said(stage.browser.frames) == []
        assert own.texts == []
        assert {request.agent for request in other.asked} == {"second"}
