"""What others wrote is text on our pages: no markup in it makes an element or runs a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.pages.hosts import host
from tests.pages.stub import StubGateway
from tests.pages.stub_console import TOKEN, StubOperator

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = (
    '<img src="/nothing" onerror="window.ran = 1"><svg onload="window.ran = 2"></svg>'
    '<a href="javascript:window.ran=3">javascript:window.ran=3</a><u>underlined</u>'
)
FOUND = """(root) => ({
    elements: [...(root ?? document).querySelectorAll('img, u, a[href^="javascript"], svg[onload]')]
        .map((one) => one.outerHTML),
    ran: window.ran ?? null,
})"""
NOTHING: dict[str, Any] = {"elements": [], "ran": None}


@pytest.mark.parametrize("source", ["assistant", "user"])
async def test_markup_of_an_agent_is_text_in_the_widget(
    page: Page, gateway: StubGateway, source: str
) -> None:
    await host(page, gateway)
    await page.evaluate("() => { chat.options = { turnGap: 0.05 }; return chat.start('chat'); }")
    await expect(page.locator(".bubble")).to_have_count(1)
    await gateway.conversations[-1].text("\n" + MARKUP, source)
    await expect(page.locator(f".{source} .bubble").last).to_contain_text(MARKUP)
    assert await page.evaluate(f"() => ({FOUND})(chat.shadowRoot)") == NOTHING


async def test_markup_of_subjects_and_frames_is_text_in_the_console(page: Page) -> None:
    gateway = StubGateway()
    operator = StubOperator(gateway, 1)
    (session,) = operator.sessions.values()
    session.update(subject=MARKUP, agent=MARKUP)
    operator.said = [{"contentType": "text", "source": "assistant", "content": MARKUP}] * 2
    async with gateway.serving():
        await page.goto(f"{gateway.url}/console")
        await page.get_by_label("Service token").fill(TOKEN)
        await page.get_by_role("button", name="Open").click()
        row = page.locator("#rows tr[data-id]").first
        await expect(row).to_contain_text(MARKUP)
        await row.get_by_role("button").click()
        await expect(page.locator("#timeline")).to_contain_text("onerror")
        assert await page.evaluate(f"() => ({FOUND})(null)") == NOTHING
        await page.goto("about:blank")
