"""The frontend's sample, run as it stands: a page, a ticket from a backend, a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.pages import npm
from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Route

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLE = (npm.HERE / "sample" / "frontend.js").read_text()
# A page of the gateway's own origin: Chromium blocks a made-up one from loopback addresses.
PAGE = """() => {
    document.body.innerHTML = '<pre id="log"></pre>';
    const script = document.createElement('script');
    Object.assign(script, { type: 'module', src: '/shop/page.js' });
    document.head.append(script);
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with processes.gateway(emulator.url, auth="ticket") as running:
        yield running


async def test_the_sample_holds_a_conversation(browser: Browser, gateway: Gateway) -> None:
    tickets: list[str] = []

    async def backend(route: Route) -> None:
        async with gateway.api() as api:
            answer = await api.post("/v1/tickets", json={"subject": "customer-7"})
        tickets.append(answer.json()["ticket"])
        await route.fulfill(body=tickets[-1])

    page = await browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.route("**/my-backend/ticket", backend)
    await page.route(
        "**/shop/page.js", lambda route: route.fulfill(body=SAMPLE, content_type="text/javascript")
    )
    await page.goto(f"{gateway.base}/healthz")  # of the same origin, without scripts of its own
    await page.evaluate(PAGE)
    log = page.locator("#log")
    await expect(log).to_contain_text("user: Where is my order A-1001?")
    await expect(log).to_contain_text("[order A-1001]")
    await expect(log).to_contain_text("status shipped")
    await expect(page).to_have_title("ended: The conversation has ended.")
    assert len(tickets) == 1
    assert faults == []
    await page.close()
