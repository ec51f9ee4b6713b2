"""<blackbox-relay-chat> and the console while sessions wait for an upstream session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.pages.hosts import host
from tests.pages.looks import assert_accessible
from tests.pages.stub import PAGES, StubGateway
from tests.pages.stub_console import TOKEN, StubOperator
from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.pages.stub_agents import Conversation

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEPT = (
    "<main><h1>Shop</h1>"
    '<blackbox-relay-chat id="chat" agent="silent" keep></blackbox-relay-chat></main>'
)


async def start(page: Page, gateway: StubGateway, **session: object) -> Conversation:
    gateway.session_fields = {"queued": True, **session}
    await host(page, gateway, KEPT)
    await page.get_by_role("button", name="Start a chat").click()
    await until(lambda: gateway.conversations)
    return gateway.conversations[0]


async def test_widget_says_the_position_and_is_accessible_meanwhile(
    page: Page, gateway: StubGateway
) -> None:
    talk = await start(page, gateway)
    status = page.get_by_role("status")
    await expect(status).to_have_text("All agents are busy. Please wait…")
    await assert_accessible(page)
    await talk.queued(2, 12)
    await expect(status).to_have_text("All agents are busy. You are number 2 of 12.")
    await page.get_by_label("Your message").fill("before my turn")
    await page.keyboard.press("Enter")
    await assert_accessible(page)
    await talk.queued(1, 11)
    await expect(status).to_have_text("All agents are busy. You are number 1 of 11.")
    await talk.text("Hello!")
    await expect(status).to_have_text("Online")
    await expect(page.locator("p.bubble")).to_have_text(["before my turn", "Hello!"])


async def test_queued_widget_is_ended_by_its_button(page: Page, gateway: StubGateway) -> None:
    talk = await start(page, gateway)
    await talk.queued(2, 12)
    await page.get_by_role("button", name="End the conversation").click()
    await expect(page.get_by_role("status")).to_have_text("Ended")
    await expect(page.get_by_role("alert")).to_have_count(0)
    assert talk.arrived[-1]["type"] == "terminate"


async def test_queued_widget_that_keeps_its_chat_waits_on_in_another_element(
    page: Page, gateway: StubGateway
) -> None:
    talk = await start(page, gateway)
    await talk.queued(2, 12)
    await expect(page.get_by_role("status")).to_contain_text("number 2 of 12")
    await page.evaluate("""async () => {
        const another = chat.cloneNode(true);
        chat.remove();
        await new Promise((done) => setTimeout(done, 600)); // longer than a move of the element
        document.querySelector('main').append(another);
    }""")
    await expect(page.get_by_role("status")).to_have_text(
        "All agents are busy. You are number 2 of 12."
    )
    await talk.text("Hello!")
    await expect(page.get_by_role("status")).to_have_text("Online")
    await expect(page.locator("p.bubble")).to_have_text(["Hello!"])
    assert len(gateway.dials) == 1


async def test_widget_that_joins_its_chat_anew_shows_nothing_twice(
    page: Page, gateway: StubGateway
) -> None:
    gateway.session_fields = {"keep": 60}
    await host(page, gateway, KEPT)
    await page.evaluate("() => { chat.options = { turnGap: 60 }; }")
    await page.get_by_role("button", name="Start a chat").click()
    await expect(page.get_by_role("status")).to_have_text("Online")
    (talk,) = gateway.conversations
    await page.get_by_label("Your message").fill("Where is it?")
    await page.keyboard.press("Enter")
    await until(lambda: len(talk.arrived) == 2)
    content = {"source": "assistant", "text": "On", "type": "potential"}
    await talk.say({"type": "text", "content": content})
    await expect(page.locator("p.bubble")).to_have_text(["Where is it?", "On"])
    gateway.by_token.clear()
    gateway.history = [
        {"source": "user", "text": "Where is it?", "at": "2026-01-02T03:04:05.678Z"},
        {"source": "assistant", "text": "On its way.", "at": "2026-01-02T03:04:06.678Z"},
    ]
    await talk.close()
    await expect(page.get_by_role("status")).to_have_text("Online")
    await expect(page.locator("p.bubble")).to_have_text(["Where is it?", "On its way."])
    await gateway.conversations[1].text("Anything else?")
    await expect(page.locator("p.bubble")).to_have_text(
        ["Where is it?", "On its way.", "Anything else?"]
    )


async def test_types_name_every_text_of_the_widget(page: Page) -> None:
    names = await page.evaluate("async () => Object.keys((await import('/widget.js')).TEXTS)")
    declared = (PAGES / "widget.d.ts").read_text().split("TextName =")[1].split(";")[0]
    assert sorted(names) == sorted(re.findall(r"'(\w+)'", declared))


async def test_console_shows_how_many_sessions_wait(browser: Browser) -> None:
    gateway = StubGateway()
    operator = StubOperator(gateway, 1)
    operator.queue = {"waiting": 7, "held": 5, "limit": 5}
    context = await browser.new_context()
    page = await context.new_page()
    async with gateway.serving():
        await page.goto(f"{gateway.url}/console")
        await page.get_by_label("Service token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.locator("#health")).to_have_text("Ready · 7 waiting")
        operator.queue = {"waiting": 0, "held": 5, "limit": 5}
        await expect(page.locator("#health")).to_have_text("Ready")
        await context.close()
