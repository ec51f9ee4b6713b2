"""One Chromium for all tests of the pages; a gateway and a page of its own for each."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.pages.stub import StubGateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def chromium() -> str:
    """Where Debian's Chromium is; without one these tests fail, and say what to install."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("No chromium here: install Debian's package chromium (apt-get install chromium).")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def gateway() -> AsyncIterator[StubGateway]:
    async with StubGateway().serving() as stub:
        yield stub


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, gateway: StubGateway) -> AsyncIterator[Page]:
    """A blank page of the gateway's origin, with the client imported; it must log no error."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    page.set_default_timeout(20_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(f"{gateway.url}/blank")
    await page.evaluate("async () => { Object.assign(window, await import('/client.js')); }")
    yield page
    await context.close()
    assert faults == []
