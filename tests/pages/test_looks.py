"""The pages' looks: accessible by axe-core's rules, and usable from 320 px on, light and dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.pages.looks import assert_accessible, assert_fits, keep
from tests.pages.stub import StubGateway
from tests.pages.stub_console import TOKEN, StubOperator

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZES = [(320, 640), (768, 1024), (1280, 800)]
LOOKS = [(*size, scheme) for size in SIZES for scheme in ("light", "dark")]


@pytest.mark.parametrize(("width", "height", "scheme"), LOOKS)
async def test_the_demo_is_accessible_and_fits(
    browser: Browser, gateway: StubGateway, width: int, height: int, scheme: Any
) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = await context.new_page()
    name = f"demo-{width}-{scheme}"
    await page.goto(f"{gateway.url}/demo")
    await expect(page.locator("#agent option")).to_have_count(4)
    await assert_accessible(page)
    await keep(page, f"{name}-start")
    await page.get_by_role("button", name="Start a chat").click()
    await page.get_by_label("Your message").fill("Where is my order A-1001?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".bubble").last).to_contain_text("arrives on Thursday")
    await page.get_by_label("Your message").fill("Thanks")
    await page.keyboard.press("Enter")
    await page.locator(".frames summary").nth(2).click()
    await expect(page.get_by_label("Agent is writing")).to_be_visible()
    await assert_accessible(page)
    await assert_fits(page, width)
    await keep(page, f"{name}-talk")
    await page.get_by_role("tab", name="Tools").click()
    await assert_accessible(page)
    await keep(page, f"{name}-tools")
    await page.get_by_role("tab", name="Timings").click()
    await page.get_by_role("button", name="End the conversation").click()
    await expect(page.get_by_role("button", name="Start again")).to_be_visible()
    await page.select_option("#agent", "refuse-4404")
    await page.get_by_role("button", name="Start again").click()
    await expect(page.get_by_role("alert").filter(has_text="Refused by name.")).to_be_visible()
    await assert_accessible(page)
    await assert_fits(page, width)
    await keep(page, f"{name}-refused")
    await context.close()


@pytest.mark.parametrize(("width", "height", "scheme"), LOOKS)
async def test_the_console_is_accessible_and_fits(
    browser: Browser, width: int, height: int, scheme: Any
) -> None:
    gateway = StubGateway()
    StubOperator(gateway, 40)
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = await context.new_page()
    async with gateway.serving():
        await page.goto(f"{gateway.url}/console")
        await assert_accessible(page)
        await keep(page, f"console-{width}-{scheme}-door")
        await page.get_by_label("Service token").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(page.locator("#table")).to_have_attribute("aria-rowcount", "41")
        await page.locator("#rows tr[data-id]").nth(1).click()
        await page.locator("#timeline summary").first.click()
        await expect(page.locator("#timeline pre").first).to_be_visible()
        await assert_accessible(page)
        await assert_fits(page, width)
        await keep(page, f"console-{width}-{scheme}-detail")
        await page.get_by_role("button", name="End session").click()
        await assert_accessible(page)
        await context.close()
