"""The console in Chromium, for somebody who signs in through the provider."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from playwright.async_api import expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.support.oidc import Provider


@asynccontextmanager
async def at_the_console(
    browser: Browser, base: str, provider: Provider, person: dict[str, Any]
) -> AsyncIterator[Page]:
    """Somebody who has signed in through the provider, on a page that logs no error."""
    provider.person, provider.fault = person, ""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(f"{base}/console")
    await page.get_by_role("link", name="Sign in").click()
    await expect(page.locator("#desk")).to_be_visible()
    yield page
    await context.close()
    assert faults == []
