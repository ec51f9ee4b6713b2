"""One Chromium for all tests of the pages; a gateway and a page of its own for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.pages.browser import launched
from tests.pages.stub import StubGateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def gateway() -> AsyncIterator[StubGateway]:
    async with StubGateway().serving() as stub:
        yield stub


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, gateway: StubGateway) -> AsyncIterator[Page]:
    """A blank page of the gateway's origin, with the client imported; it must log no error."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(f"{gateway.url}/blank")
    await page.evaluate("async () => { Object.assign(window, await import('/client.js')); }")
    yield page
    await context.close()
    assert faults == []
