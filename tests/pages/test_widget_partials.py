"""<blackbox-relay-chat> shows a partial text as one growing turn, which the final one replaces."""

# ruff: noqa: E501 - lines of the scripts that run in the page
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.pages.hosts import host

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway
    from tests.pages.stub_agents import Conversation

pytestmark = pytest.mark.asyncio(loop_scope="session")

SILENT = '<blackbox-relay-chat id="chat" agent="silent"></blackbox-relay-chat>'
# Every state of the log that was ever there, as text, with a mark at what is not final.
WATCH = """() => {
    const root = document.querySelector('blackbox-relay-chat').shadowRoot;
    const log = root.getElementById('log');
    window.states = [];
    const look = () => states.push([...log.querySelectorAll('.turn')].filter((turn) => turn.querySelector('p.bubble'))
        .map((turn) => `${turn.classList.contains('user') ? 'user' : 'assistant'}${turn.classList.contains('partial') ? '~' : ''}: ${turn.querySelector('p.bubble').textContent}`));
    new MutationObserver(look).observe(log, { childList: true, subtree: true, characterData: true, attributes: true });
}"""


async def said(talk: Conversation, source: str, text: str, kind: str | None = None) -> None:
    content: dict[str, Any] = {"source": source, "text": text}
    if kind:
        content["type"] = kind
    await talk.say({"type": "text", "content": content})


async def test_partial_texts_grow_in_one_bubble_and_are_never_doubled(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway, SILENT)
    await page.get_by_role("button", name="Start a chat").click()
    await expect(page.get_by_label("Your message")).to_be_editable()
    await page.evaluate(WATCH)
    (talk,) = gateway.conversations
    await said(talk, "user", "where is", "potential")
    await said(talk, "user", "where is my", "potential")
    await said(talk, "user", "Where is my parcel?")
    await said(talk, "assistant", "It", "potential")
    await said(talk, "assistant", "It comes today", "potential")
    await said(talk, "user", "uh", "potential")
    await said(talk, "assistant", "It comes tomorrow.")
    await said(talk, "assistant", "By", "potential")
    bubbles = page.locator("p.bubble")
    await expect(bubbles).to_have_text(["Where is my parcel?", "It comes tomorrow. By", "uh"])
    await expect(page.locator(".partial p.bubble")).to_have_text(["It comes tomorrow. By", "uh"])
    await said(talk, "user", "Thanks.")
    await expect(bubbles).to_have_text(["Where is my parcel?", "It comes tomorrow.", "Thanks."])
    await expect(page.locator(".partial")).to_have_count(0)
    states = await page.evaluate("() => states")
    assert max(len(state) for state in states) == 3  # none is doubled on the way
    shown = 0
    for state in states:  # and none goes away to come back
        assert len(state) >= shown, states
        shown = len(state)


async def test_what_was_typed_has_one_bubble_while_its_echo_grows(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway, SILENT)
    await page.get_by_role("button", name="Start a chat").click()
    await page.get_by_label("Your message").fill("my own words")
    await page.get_by_role("button", name="Send").click()
    await page.evaluate(WATCH)
    (talk,) = gateway.conversations
    await said(talk, "user", "my", "potential")
    await said(talk, "user", "my own words", "potential")
    await said(talk, "user", "my own words")
    await said(talk, "assistant", "Heard.", None)
    await said(talk, "assistant", "Never fin", "potential")
    await expect(page.locator("p.bubble")).to_have_text(["my own words", "Heard. Never fin"])
    assert max(len(state) for state in await page.evaluate("() => states")) == 2
