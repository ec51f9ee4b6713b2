"""Faults of the agent's tools and of its last word, and the switch over any agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.emulator.faults import FaultSpec
from tests.emulator.peer import Peer

if TYPE_CHECKING:
    from app.emulator import Emulator


async def answer_tools(peer: Peer, results: list[Any]) -> list[dict[str, Any]]:
    requests = []
    for result in results:
        requests.append((await peer.until("websocketToolRequest"))["content"])
        await peer.answer(requests[-1]["id"], result)
    return requests


async def test_duplicate_tool_id_may_be_answered_twice_alike(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("duplicate_tool_id")
        first, second = await answer_tools(peer, [{"n": 1}, {"n": 1}])
        assert first == second
        await peer.heard_until("duplicate_tool_id: {'n': 1} {'n': 1}")
    (record,) = await emulator.call_log.ended()
    assert record.violations == []


async def test_duplicate_tool_id_may_be_answered_once(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("duplicate_tool_id")
        await answer_tools(peer, [{"n": 1}])
        assert "unanswered" in await peer.heard_until("duplicate_tool_id: {'n': 1}")


async def test_unknown_tool(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("unknown_tool")
        (request,) = await answer_tools(peer, [{"error": {"code": "unknown"}}])
        assert request["toolName"] == "no_such_tool"
        await peer.heard_until("unknown_tool: {'error': {'code': 'unknown'}}")


async def test_bad_args(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("bad_args", tool="check")
        requests = await answer_tools(peer, [1, 2, 3, 4])
        await peer.heard_until("bad_args: 4")
    assert {request["toolName"] for request in requests} == {"check"}
    assert [type(request["args"]) for request in requests] == [dict, type(None), str, list]


async def test_drop_after_closed(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("drop_after_closed")
        await peer.say("bye")
        assert (await peer.closed())[0] == 1006
    assert peer.names()[-2:] == ["conversationResult", "closed"]
    (record,) = await emulator.call_log.ended()
    assert (record.ended_by, record.close_sent) == ("agent", None)


async def test_a_fault_can_strike_any_agent_by_the_switch(emulator: Emulator) -> None:
    emulator.switch.order = FaultSpec("drop", 2, {"faultAfter": 1})
    for _ in range(2):
        async with Peer.dial(emulator) as peer:
            await peer.initialize("counter", count=50, rate=1000.0)
            assert (await peer.closed())[0] == 1006
        assert [f["content"]["text"] for f in peer.of("text")] == ["#1"]
    async with Peer.dial(emulator) as peer:
        await peer.initialize("counter", count=50)
        assert (await peer.closed())[0] == 1000
