"""The scripted agents, over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.emulator.agents import AGENTS
from app.emulator.call import UNANSWERED, cut
from tests.emulator.peer import Peer

if TYPE_CHECKING:
    from app.emulator import Emulator


async def test_echo_repeats_texts_verbatim_numbered_and_in_order(emulator: Emulator) -> None:
    texts = [f'message {n} ünïcödé \u2028 "{n}" \U0001f600' for n in range(50)]
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        for text in texts:
            await peer.say(text)
        replies: list[tuple[int, str]] = []
        while len(replies) < len(texts):
            frame = await peer.until("text")
            if frame["content"]["source"] == "assistant":
                replies.append((frame["content"]["number"], frame["content"]["text"]))
        await peer.say("bye")
        assert await peer.closed() == (1000, "")
    assert replies == list(enumerate(texts, 1))
    assert peer.of("conversationResult")[0]["result"]["messages"] == 51
    assert peer.names()[-2:] == ["conversationResult", "closed"]


async def test_users_texts_are_echoed_as_the_user(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo", greeting="Hi there")
        await peer.spoken("Hi there")
        await peer.say("one")
        await peer.spoken("one")
    assert [f["content"]["source"] for f in peer.of("text")] == ["assistant", "user", "assistant"]


async def test_user_echo_can_be_turned_off(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo", echoUser=False)
        await peer.say("one")
        await peer.spoken("one")
    assert len(peer.of("text")) == 1


async def test_a_turn_in_pieces_joins_to_the_turn(emulator: Emulator) -> None:
    turn = "A turn of eight words in four pieces."
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo", pieces=4, echoUser=False)
        await peer.say(turn)
        await peer.spoken(turn)
    assert len(peer.of("text")) == 4


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("turn", ["", "word", "two words", "  odd   spaces ", "a b c d e f g h"])
def test_cutting_loses_nothing(turn: str, pieces: int) -> None:
    parts = cut(turn, pieces)
    assert "".join(parts) == turn
    assert 1 <= len(parts) <= max(pieces, 1)


async def test_support_uses_both_tools_and_sums_up_from_both(emulator: Emulator) -> None:
    async with Peer.dial(emulator, "webCall") as peer:
        await peer.initialize("support", carries="request")
        await peer.heard_until("number of your order?")
        await peer.say("no idea")
        await peer.heard_until("for example 1001.")
        await peer.say("it is AB-4711, I think")
        request = await peer.until("websocketToolRequest")
        assert request["content"]["toolName"] == "check_order_status"
        assert request["content"]["args"] == {"order_number": "AB-4711"}
        await peer.answer(request["content"]["id"], {"status": "shipped", "eta_days": 2})
        request = await peer.until("websocketToolRequest")
        assert request["content"]["toolName"] == "show_order"
        assert request["content"]["args"] == {
            "order_number": "AB-4711",
            "order": {"status": "shipped", "eta_days": 2},
        }
        await peer.answer(request["content"]["id"], {"shown": ["card 7", "map"]})
        summary = await peer.heard_until("Goodbye!")
        assert (await peer.closed())[0] == 1000
    assert "Order AB-4711: status shipped, eta days 2." in summary
    assert "Your screen says: shown card 7 and map." in summary
    assert len(peer.of("toolCall")) == len(peer.of("toolCallResult")) == 2
    (record,) = await emulator.call_log.ended()
    assert record.violations == []
    assert set(record.tool_answers.values()) == {1}
    assert (record.agent, record.call_type, record.ended_by) == ("support", "chat", "agent")


async def test_support_says_what_failed(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize(None)  # support is chat's default
        await peer.say("1001")
        for result in ({"error": {"code": "timeout", "message": "Too slow."}}, {"error": "no"}):
            request = await peer.until("websocketToolRequest")
            await peer.answer(request["content"]["id"], result)
        summary = await peer.heard_until("Goodbye!")
    assert "Order 1001 could not be looked up: Too slow." in summary
    assert "I could not show it" in summary


async def test_support_gives_up_when_no_number_comes(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("support")
        for _ in range(3):
            await peer.say("hm")
        await peer.heard_until("Please write to us.")
        assert (await peer.closed())[0] == 1000


async def test_support_can_stay_for_more_orders(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("support", stay=True)
        for number in ("1001", "1002"):
            await peer.say(number)
            for _ in range(2):
                request = await peer.until("websocketToolRequest")
                await peer.answer(request["content"]["id"], None)
        await peer.heard_until("Order 1002: nothing.")
        await peer.send("terminate")
        assert (await peer.closed())[0] == 1000


async def test_a_tool_that_is_never_answered_is_given_up(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("support", toolTimeout=0.05)
        await peer.say("1001")
        await peer.heard_until("Goodbye!")
    assert [f["content"]["result"] for f in peer.of("toolCallResult")] == [UNANSWERED] * 2


async def test_phone_rings_is_picked_up_transcribes_and_ends(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize(None, "onPhone", endpoint="+4930123456")
        assert (await peer.closed())[0] == 1000
    names = peer.names()
    assert names.index("ringing") < names.index("opened") < names.index("text")
    assert {f["content"]["source"] for f in peer.of("text")} == {"assistant", "user"}
    closed = next(f for f in peer.frames if f.get("name") == "closed")
    assert closed["data"]["endpoint"] == "+4930123456"
    assert closed["data"].keys() == {
        "endpoint",
        "hangupMsgId",
        "startConnectionTimeISO",
        "endConnectionTimeISO",
    }


async def test_phone_that_nobody_picks_up_fails(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("phone", "onPhone", endpoint="+49", answer=False)
        assert (await peer.closed())[0] == 1000
    result = peer.of("conversationResult")[0]["result"]
    assert (result["status"], result["errorMessage"]) == ("Failed", "No answer")
    assert "opened" not in peer.names()


async def test_terminate_ends_with_result_closed_and_1000(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.until("event", name="connection")
        await peer.send("terminate")
        assert await peer.closed() == (1000, "")
    assert peer.names()[-2:] == ["conversationResult", "closed"]
    assert peer.of("conversationResult")[0]["result"]["finishReason"] == "terminated"
    (record,) = await emulator.call_log.ended()
    assert (record.terminated, record.ended_by, record.close_sent) == (True, "client", 1000)


@pytest.mark.parametrize("agent", sorted(AGENTS))
async def test_every_agent_can_be_terminated_at_any_time(emulator: Emulator, agent: str) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize(agent, count=10**6, rate=10, turns=10**6, pace=0.01, media=False)
        await peer.until("event", name="connection")
        await peer.send("terminate")
        await peer.closed()
    assert peer.names()[-2:] == ["conversationResult", "closed"]


async def test_every_agent_lets_go_when_the_client_vanishes(emulator: Emulator) -> None:
    for agent in sorted(AGENTS):
        async with Peer.dial(emulator) as peer:
            await peer.initialize(agent, count=10**6, rate=10, turns=10**6, pace=0.01)
            await peer.until("event", name="connection")
            peer.socket.transport.abort()
    records = await emulator.call_log.ended(len(AGENTS))
    assert {record.ended_by for record in records} == {"lost"}
    await emulator.call_log.until(lambda ledger: ledger.counters["sockets_open"] == 0)


async def test_an_agent_that_crashes_fails_its_conversation_alone(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as bystander, Peer.dial(emulator) as peer:
        await bystander.initialize("echo")
        await peer.initialize("echo", greeting="x", pieces=1.5)  # a wrong type is the default
        await peer.spoken("x")
        await peer.send("terminate")
        await peer.closed()
        await bystander.say("still here?")
        await bystander.spoken("still here?")


async def test_an_agent_of_ones_own_can_crash() -> None:
    from app.emulator import Emulator, Options  # noqa: PLC0415

    async def broken(call: Any) -> None:
        """Breaks."""
        raise LookupError(f"its own fault {call.id}")

    async with Emulator(Options(), {"broken": broken}) as emulator:
        async with Peer.dial(emulator) as peer:
            await peer.initialize("broken")
            assert (await peer.closed())[0] == 1000
        result = peer.of("conversationResult")[0]["result"]
        assert result["status"] == "Failed"
        assert "its own fault" not in str(result)
