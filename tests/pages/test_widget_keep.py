"""<blackbox-relay-chat keep>: a conversation outlives a reload, and the element of one route."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.pages.hosts import ELEMENT, host

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEEP = ELEMENT.replace("<blackbox-relay-chat ", "<blackbox-relay-chat keep ")


async def chatting(page: Page, gateway: StubGateway, element: str = KEEP) -> None:
    await host(page, gateway, f"<main>{element}</main>")
    await page.get_by_role("button", name="Start a chat").click()
    await say(page, "before")


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")
    await expect(page.locator(".assistant .bubble").last).to_contain_text(text)


async def test_a_reload_goes_on_with_the_conversation(page: Page, gateway: StubGateway) -> None:
    await chatting(page, gateway)
    await page.reload()
    await expect(page.get_by_role("status")).to_have_text("Online")
    await expect(page.locator(".bubble")).to_have_text(
        ["Hello! I repeat what you say.", "before", "before"]
    )
    await say(page, "after")
    assert len(gateway.conversations) == 1
    assert [frame["content"] for frame in gateway.conversations[0].arrived[1:]] == [
        "before",
        "after",
    ]
    await expect(page.locator(".note")).to_have_count(0)


async def test_without_it_a_reload_ends_the_conversation(page: Page, gateway: StubGateway) -> None:
    await chatting(page, gateway, ELEMENT)
    await page.reload()
    await expect(page.get_by_role("status")).to_have_text("Not connected")
    assert gateway.conversations[0].arrived[-1]["type"] == "terminate"


async def test_an_ended_conversation_is_not_kept(page: Page, gateway: StubGateway) -> None:
    await chatting(page, gateway)
    await page.get_by_role("button", name="End the conversation").click()
    await expect(page.get_by_role("status")).to_have_text("Ended")
    await page.reload()
    await expect(page.get_by_role("button", name="Start a chat")).to_be_visible()
    assert len(gateway.dials) == 1


ROUTES = """async (wait) => {
    chat.remove();
    await new Promise((done) => setTimeout(done, wait));
    const next = document.createElement('blackbox-relay-chat');
    for (const { name, value } of chat.attributes) next.setAttribute(name, value);
    window.old = chat;
    window.chat = next;
    document.querySelector('main').append(next);
}"""


async def test_the_element_of_another_route_takes_the_conversation_over(
    page: Page, gateway: StubGateway
) -> None:
    await chatting(page, gateway)
    await page.evaluate(ROUTES, 600)
    await expect(page.locator(".bubble")).to_have_text(
        ["Hello! I repeat what you say.", "before", "before"]
    )
    await say(page, "after")
    assert len(gateway.dials) == 1
    assert await page.evaluate("() => [old.client, chat.client.state]") == [None, "live"]


async def test_the_same_element_put_back_later_goes_on(page: Page, gateway: StubGateway) -> None:
    await chatting(page, gateway)
    await page.evaluate("""async () => {
        chat.remove();
        await new Promise((done) => setTimeout(done, 600));
        document.querySelector('main').append(chat);
    }""")
    await say(page, "after")
    await expect(page.locator(".user .bubble")).to_have_text(["before", "after"])
    assert len(gateway.dials) == 1


async def test_without_it_another_element_begins_anew(page: Page, gateway: StubGateway) -> None:
    await chatting(page, gateway, ELEMENT)
    await page.evaluate(ROUTES, 600)
    await expect(page.get_by_role("button", name="Start a chat")).to_be_visible()
    assert await page.evaluate("() => old.client.state") == "ended"
