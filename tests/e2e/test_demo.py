"""The demo page as a newcomer gets it: `make run`'s gateway and emulator, and Chromium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.gateway import Running, clean_environment
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def newcomer() -> AsyncIterator[str]:
    """The address of what `make run` starts where there is no API key."""
    port = free_port()
    running = Running(["-m", "app", "run"], clean_environment() | {"PORT": str(port)})
    await running.start()
    base = f"http://127.0.0.1:{port}"

    async def serves() -> bool:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                return (await client.get(f"{base}/demo/config.json")).status_code == 200
            except httpx.HTTPError:
                return False

    try:
        await until(serves, within=60)
        yield base
    finally:
        await running.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, newcomer: str) -> AsyncIterator[Page]:
    """The demo page; what its console reports as an error fails the test."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.extend([said.text] * (said.type == "error")))
    await page.goto(f"{newcomer}/demo")
    yield page
    await context.close()
    assert faults == []


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")


async def test_a_conversation_with_support_uses_every_part(page: Page) -> None:
    await page.select_option("#agent", "support")
    await page.get_by_role("button", name="Start a chat").click()
    bubbles = page.locator(".assistant .bubble")
    await expect(bubbles.first).to_have_text(
        "Hello, this is the support desk. What is the number of your order?"
    )
    await say(page, "Where is my order A-1001?")
    # The browser tool's effect: a card, with what the backend's tool found.
    card = page.locator(".order")
    await expect(card.get_by_role("heading")).to_have_text("Order A-1001")
    await expect(card).to_contain_text("shipped")
    await expect(card).to_contain_text("DHL")
    # The answer that needed check_order_status, and the summary.
    await expect(bubbles.filter(has_text="status shipped")).to_have_count(1)
    await expect(bubbles.filter(has_text="Your screen says: shown the order card.")).to_have_count(
        1
    )
    await expect(bubbles.last).to_contain_text("Thank you for calling. Goodbye!")
    await expect(page.get_by_text("The conversation has ended.").first).to_be_visible()
    await expect(page.get_by_role("button", name="Start a chat")).to_be_visible()
    # The inspector: the browser tool's request is there, the backend's is not.
    frames = page.locator("#frame-list")
    await expect(frames.get_by_text("websocketToolRequest")).to_have_count(1)
    await expect(frames.get_by_text("check_order_status")).to_have_count(0)
    await expect(frames.get_by_text("conversationResult")).to_have_count(1)
    await page.get_by_role("tab", name="Tools").click()
    await expect(page.locator("#tool-list li")).to_have_count(1)
    await expect(page.locator("#tool-list h3")).to_contain_text("answered in")


async def test_a_line_that_is_cut_is_resumed_before_the_customers_eyes(page: Page) -> None:
    await page.select_option("#agent", "echo")
    await page.get_by_role("button", name="Start a chat").click()
    await say(page, "before the cut")
    await expect(page.locator(".assistant .bubble").last).to_have_text("before the cut")
    await page.get_by_role("button", name="Cut the line").click()
    await expect(page.get_by_text("Connection lost. Reconnecting…").first).to_be_visible()
    await say(page, "during the cut")
    await expect(page.get_by_text("Connected again. Nothing was lost.").first).to_be_visible()
    await expect(page.locator(".assistant .bubble").last).to_have_text("during the cut")
    await expect(page.locator(".bubble")).to_have_text(
        ["before the cut", "before the cut", "during the cut", "during the cut"]
    )


async def test_the_keyboard_alone_is_enough(page: Page) -> None:
    await page.select_option("#agent", "echo")
    await page.locator("#agent").focus()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Start a chat")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Your message")).to_be_focused()
    await page.keyboard.type("line one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("line two")
    await page.keyboard.press("Enter")
    await expect(page.locator(".assistant .bubble").last).to_have_text("line one\nline two")
    await page.get_by_role("button", name="End the conversation").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Start again")).to_be_focused()


async def test_a_refusal_is_readable(page: Page) -> None:
    await page.select_option("#agent", "phone")
    await page.get_by_label("Phone number").fill("+49 not allowed")
    await page.get_by_label("Phone number").press("Tab")
    await page.get_by_role("button", name="Start").click()
    alert = page.get_by_role("alert").filter(visible=True)
    await expect(alert).to_contain_text("number")
    await expect(page.locator("#frame-list .bad")).to_have_count(1)


async def test_a_phone_call_is_transcribed(page: Page) -> None:
    await page.select_option("#agent", "phone")
    await page.get_by_label("Phone number").fill("+15550001234")
    await page.get_by_label("Phone number").press("Tab")
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator(".user .bubble").first).to_have_text("Yes, speaking.")
    await expect(page.locator(".assistant .bubble").last).to_have_text("Thank you, and goodbye!")


async def test_the_page_fits_a_phone(page: Page) -> None:
    await page.set_viewport_size({"width": 320, "height": 640})
    await page.get_by_role("button", name="Start a chat").click()
    await expect(page.locator(".assistant .bubble").first).to_be_visible()
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= 320
    await expect(page.get_by_label("Your message")).to_be_in_viewport()
