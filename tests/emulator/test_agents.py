"""The scripted agents, over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulator.peer import Peer

if TYPE_CHECKING:
    from app.emulator import Emulator


async def test_echo_repeats_texts_verbatim_numbered_and_in_order(emulator: Emulator) -> None:
    texts = [f'message {n} ünïcödé \u2028 "{n}"' for n in range(50)]
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        for text in texts:
            await peer.say(text)
        replies = []
        while len(replies) < len(texts):
            frame = await peer.until("text")
            if frame["content"]["source"] == "assistant":
                replies.append((frame["content"]["number"], frame["content"]["text"]))
        await peer.say("bye")
        assert await peer.closed() == (1000, "")
    assert replies == list(enumerate(texts, 1))
    assert peer.of("conversationResult")[0]["result"]["messages"] == 51
    assert peer.names()[-2:] == ["conversationResult", "closed"]


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
        await peer.answer(request["content"]["id"], {"shown": "card 7"})
        summary = await peer.heard_until("Goodbye!")
        assert (await peer.closed())[0] == 1000
    assert "Order AB-4711: status shipped, eta days 2." in summary
    assert "Your screen says: shown card 7." in summary
    assert len(peer.of("toolCall")) == len(peer.of("toolCallResult")) == 2
    (record,) = await emulator.ledger.ended()
    assert record.violations == []
    assert set(record.tool_answers.values()) == {1}
