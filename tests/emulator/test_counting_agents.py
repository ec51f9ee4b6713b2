"""The agents that count and chatter, over real sockets."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from tests.emulator.peer import Peer

if TYPE_CHECKING:
    from app.emulator import Emulator


async def count(peer: Peer, texts: list[str], answers: int) -> dict[str, Any]:
    """Send the texts, answer that many tool requests, and return the counter's report."""
    for text in texts:
        await peer.say(text)
    for _ in range(answers):
        request = await peer.until("websocketToolRequest")
        await peer.answer(request["content"]["id"], {"ok": True})
    await peer.closed()
    return dict(peer.of("conversationResult")[0]["result"])


async def test_counter_counts_both_ways_with_tools_beside(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("counter", count=200, toolEvery=20, expect=100, echoUser=False)
        report = await count(peer, [f"#{n}" for n in range(1, 101)], 10)
    assert [f["content"]["text"] for f in peer.of("text")] == [f"#{n}" for n in range(1, 201)]
    assert report["sent"] == 200
    assert report["user"]["ok"]
    assert report["user"]["received"] == 100
    assert (report["toolCalls"], report["toolErrors"]) == (10, [])


async def test_counter_reports_gaps_duplicates_and_disorder(emulator: Emulator) -> None:
    texts = ["#1", "#2", "#2", "#5", "#4", "hello", "#9"]
    async with Peer.dial(emulator) as peer:
        await peer.initialize("counter", count=1, expect=5)
        report = (await count(peer, texts, 0))["user"]
    assert not report["ok"]
    assert report["gaps"] == [3, 6, 7, 8]
    assert report["duplicates"] == [2]
    assert report["outOfOrder"] == [4]
    assert report["unnumbered"] == 1


async def test_counter_reports_when_it_is_terminated(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("counter", count=1_000_000, rate=200, size=300)
        await peer.say("#1")
        first = await peer.spoken()
        assert len(first) == 300
        await peer.send("terminate")
        await peer.closed()
    result = peer.of("conversationResult")[0]["result"]
    assert result["finishReason"] == "terminated"
    assert 0 < result["sent"] < 1_000_000
    assert result["user"]["received"] == 1


async def test_counter_lists_the_tool_errors(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("counter", count=2, toolEvery=2, tool="t")
        request = await peer.until("websocketToolRequest")
        assert request["content"]["toolName"] == "t"
        await peer.answer(request["content"]["id"], {"error": {"code": "x"}})
        await peer.closed()
    result = peer.of("conversationResult")[0]["result"]
    assert result["toolErrors"] == [{"number": 2, "error": {"code": "x"}}]


async def test_chatty_talks_unasked_with_the_time_of_sending(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("chatty", rate=100, size=60, seconds=1.0)
        await peer.say("hi")
        assert (await peer.closed())[0] == 1000
    texts = [f["content"] for f in peer.of("text") if f["content"]["source"] == "assistant"]
    assert "hi" in {content["text"] for content in texts}
    assert len(texts) > 2
    assert all(0 < content["sentAt"] <= time.monotonic_ns() for content in texts)


async def test_chatty_at_rate_zero_only_answers(emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("chatty", rate=0, replies=3, echoUser=False)
        await peer.say("hi")
        assert [await peer.spoken() for _ in range(3)] == ["hi"] * 3
        await peer.send("terminate")
        assert (await peer.closed())[0] == 1000


async def test_a_hundred_conversations_at_once_keep_their_order(emulator: Emulator) -> None:
    async def one() -> dict[str, Any]:
        async with Peer.dial(emulator) as peer:
            await peer.initialize("counter", count=20, toolEvery=10, expect=20, echoUser=False)
            report = await count(peer, [f"#{n}" for n in range(1, 21)], 2)
            assert [f["content"]["text"] for f in peer.of("text")] == [
                f"#{n}" for n in range(1, 21)
            ]
            return report

    reports = await asyncio.gather(*(one() for _ in range(100)))
    assert all(report["user"]["ok"] and report["toolCalls"] == 2 for report in reports)
    await emulator.call_log.ended(100)
    await emulator.call_log.until(lambda ledger: ledger.counters["sockets_open"] == 0)
