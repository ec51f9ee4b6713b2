"""Commands on a live session, carried out by its owner; takeovers that end by themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from app.protocol.control import Emit, Finish, HandBack, Say, TakeOver
from app.protocol.principal import CallType
from app.relay import control
from app.relay.lifecycle import EventType
from tests.protocol.rules import asks, chat
from tests.relay.stage import Stage, text
from tests.support.memory import MemorySocket
from tests.support.waiting import until

if TYPE_CHECKING:
    import pytest

    from app.protocol.control import Answer, Command
    from app.relay.lifecycle import LifecycleEvent


class Lifecycle:
    """Keeps events."""

    def __init__(self) -> None:
        self.events: list[LifecycleEvent] = []

    def emit(self, event: LifecycleEvent) -> None:
        """Take one event."""
        self.events.append(event)


def told(socket: MemorySocket) -> list[str]:
    """Texts, and names of events, as a page was sent them."""
    return [
        frame["content"]["text"] if frame["type"] == "text" else frame["name"]
        for frame in socket.frames
        if frame["type"] == "text" or frame.get("number")
    ]


def sent(stage: Stage) -> list[dict[str, Any]]:
    """What the vendor was sent, `initialize` left out."""
    return [frame for frame in stage.vendor.frames if frame["type"] != "initialize"]


def do(stage: Stage, command: Command) -> Answer:
    return stage.relay.controlled().apply(command)


async def test_nothing_is_said_before_the_session_event_or_after_the_end() -> None:
    async with Stage(wait=30) as stage:
        assert do(stage, Say("m1", "agent", "hello")).status == 409
        assert do(stage, Finish("m2")).status == 204
        await stage.over()
        assert do(stage, Say("m1", "agent", "hello")).body["title"] == "ended"


async def test_command_is_carried_out_once_and_a_refused_one_may_come_again() -> None:
    async with Stage() as stage:
        await stage.live()
        for _ in range(3):
            assert do(stage, Say("m1", "agent", "hello")).body == {"message_id": "m1"}
        assert told(stage.browser) == ["hello"]
        assert do(stage, HandBack("m2")).status == 409
        assert do(stage, TakeOver("m3", "Ann")).status == 200
        assert do(stage, HandBack("m2")).status == 200
        assert stage.count("relay_control_total", action="message", outcome="repeated") == 2
        assert stage.count("relay_control_total", action="handback", outcome="refused") == 1


async def test_what_was_carried_out_is_remembered_within_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control, "MAX_APPLIED", 2)
    async with Stage() as stage:
        await stage.live()
        for name in ("m1", "m2", "m3", "m3", "m1"):
            do(stage, Say(name, "agent", name))
        assert told(stage.browser) == ["m1", "m2", "m3", "m1"]


async def test_what_is_more_than_may_wait_is_refused_and_said_later() -> None:
    async with Stage(resume_buffer=2048) as stage:
        await stage.live()
        await until(lambda: stage.browser.frames)
        stage.browser.drop()
        names = [f"m{number}" for number in range(20)]
        answers = [do(stage, Say(name, "agent", "x" * 200)) for name in names]
        taken = [name for name, answer in zip(names, answers, strict=True) if answer.status == 202]
        assert 0 < len(taken) < 20
        assert answers[-1].body["limit"] == 2048
        later = stage.back(len(stage.browser.numbered))
        assert [f["id"] for f in later.frames if "id" in f] == taken
        assert do(stage, Say("m19", "agent", "x" * 200)).status == 202


async def test_slow_reader_is_sent_no_more_than_its_outbox() -> None:
    async with Stage(outbox=4000, browser=MemorySocket(holds=True)) as stage:
        await stage.live()
        for number in range(100):
            answer = do(stage, Emit(f"m{number}", "cart", {"x": "y" * 200}))
            if answer.status != 202:
                break
        assert stage.browser.write_buffer_size <= 4000
        answer = do(stage, Emit("one more", "cart", {"x": "y" * 200}))
        assert (answer.status, answer.body["member"]) == (429, "RELAY_OUTBOX")


async def test_takeover_of_an_operator_who_is_silent_ends_and_is_told() -> None:
    lifecycle = Lifecycle()
    async with Stage(lifecycle=lifecycle, takeover_lease=0.1) as stage:
        await stage.live()
        do(stage, TakeOver("m1", "Ann"))
        stage.vendor.say(json.loads(text("held")))
        stage.browser.say(json.loads(chat("who is this?")))
        await until(lambda: "relay.handback" in told(stage.browser))
        assert told(stage.browser) == ["relay.takeover", "who is this?", "relay.handback"]
        assert sent(stage)[-1]["content"].endswith("User: who is this?")
        started, ended = [e for e in lifecycle.events if e.type.startswith("takeover.")]
        assert (started.type, started.data["operator"]) == (EventType.TAKEOVER_STARTED, "Ann")
        assert (ended.type, ended.data["cause"]) == (EventType.TAKEOVER_ENDED, "lease_expired")
        assert stage.relay.controlled().row()["operator"] is None


async def test_takeover_ends_with_its_conversation() -> None:
    lifecycle = Lifecycle()
    async with Stage(lifecycle=lifecycle) as stage:
        await stage.live()
        do(stage, TakeOver("m1", "Ann"))
        do(stage, Finish("m2"))
        await stage.over()
    causes = [e.data.get("cause") for e in lifecycle.events if e.type.startswith("takeover.")]
    assert causes == [None, "session_ended"]
    assert lifecycle.events[-1].type is EventType.SESSION_ENDED


async def test_agent_that_asks_for_a_person_is_listed_until_one_comes() -> None:
    async with Stage(profile={"tools": frozenset({"request_human"})}) as stage:
        await stage.live()
        stage.vendor.say(json.loads(asks("1", "request_human")))
        await until(lambda: stage.relay.control is not None)
        assert stage.relay.controlled().row()["wants_human"] is True
        assert sent(stage)[-1]["content"]["result"]["requested"] is True
        do(stage, TakeOver("m1", "Ann"))
        row = stage.relay.controlled().row()
        assert (row["operator"], row["wants_human"]) == ("Ann", False)
        tool = {"tool": "request_human", "outcome": "ok"}
        assert stage.count("relay_tool_calls_total", **tool) == 1


async def test_call_is_not_taken_over_and_an_operator_speaks_only_while_one_has_it() -> None:
    async with Stage(call_type=CallType.WEB_CALL) as stage:
        await stage.live()
        assert do(stage, TakeOver("m1", "Ann")).body["title"] == "no_chat"
        assert do(stage, Say("m2", "agent", "x", "operator")).body["title"] == "not_taken"
        assert do(stage, Say("m3", "agent", "x", "backend")).status == 202
