"""A page talks to an agent with client.js."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_conversation_is_connected_said_and_heard(
    page: Page, gateway: StubGateway
) -> None:
    got = await page.evaluate("""async () => {
        const chat = await RelayClient.connect({ agent: 'echo', turnGap: 0.1 });
        const turns = [];
        chat.send('one');
        for await (const turn of chat) {
            turns.push([turn.source, turn.text]);
            if (turns.length === 3) chat.hangUp();
        }
        return { turns, state: chat.state, code: chat.reason.code, session: chat.session };
    }""")
    assert got["turns"] == [
        ["assistant", "Hello! I repeat what you say."],
        ["user", "one"],
        ["assistant", "one"],
    ]
    assert (got["state"], got["code"]) == ("ended", 1000)
    assert got["session"]["agent"] == "echo"
    (talk,) = gateway.conversations
    assert [frame["type"] for frame in talk.arrived] == [
        "initialize",
        "incomingChatMessage",
        "terminate",
    ]
