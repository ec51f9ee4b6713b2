"""The operator's console against a real gateway with two hundred real sessions."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect
from websockets.asyncio.client import connect

from tests.pages.test_console import FRAMES_PER_SECOND
from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page
    from websockets.asyncio.client import ClientConnection

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = 200
OPERATOR = "canary-operator-token"
READER = "canary-reader-token"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with processes.gateway(
        emulator.url, service_tokens=f"{OPERATOR},{READER}", content_tokens=OPERATOR
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sessions(gateway: Gateway) -> AsyncIterator[list[ClientConnection]]:
    """Two hundred agents that count, three numbers a second each, and browsers that read them."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        opened = []
        for _ in range(SESSIONS):
            ws = await stack.enter_async_context(connect(f"{gateway.ws}/ws/counter"))
            data = {"count": 100_000, "rate": 3.0}
            request = {"callType": "chat", "additionalData": data}
            await ws.send(json.dumps({"type": "initialize", "request": request}))
            opened.append(ws)
        reading = [tasks.create_task(_read(ws)) for ws in opened]
        yield opened
        for task in reading:
            task.cancel()


async def _read(ws: ClientConnection) -> None:
    async for _ in ws:
        pass


@pytest_asyncio.fixture(loop_scope="module")
async def page(
    browser: Browser, gateway: Gateway, sessions: list[ClientConnection]
) -> AsyncIterator[Page]:
    assert len(sessions) == SESSIONS
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    faults: list[Any] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(f"{gateway.base}/console")
    yield page
    await context.close()
    assert faults == []


async def open_console(page: Page, token: str) -> None:
    await page.get_by_label("Service token").fill(token)
    await page.keyboard.press("Enter")
    await expect(page.locator("#table")).to_have_attribute("aria-rowcount", str(SESSIONS + 1))


async def test_two_hundred_sessions_update_without_the_page_stuttering(page: Page) -> None:
    idle = await page.evaluate(FRAMES_PER_SECOND, 2)
    await open_console(page, OPERATOR)
    await page.locator("#rows tr[data-id] button").first.click()
    # The best of several: what else the machine does comes and goes, a page that stutters goes on.
    busy = max([await page.evaluate(FRAMES_PER_SECOND, 2) for _ in range(3)])
    # An idle page shows 60; where a loaded machine gives less, the console may cost half of it.
    assert busy >= min(30, idle / 2), f"{busy:.0f} frames/s, idle {idle:.0f}"
    rates = await page.locator("#rows td:nth-child(6)").all_text_contents()
    moving = [float(rate) for rate in rates if rate]
    assert moving
    assert max(moving) > 1


async def test_an_operator_sees_contents_and_another_token_does_not(page: Page) -> None:
    await open_console(page, OPERATOR)
    await page.locator("#rows tr[data-id] button").first.click()
    await expect(page.locator("#timeline pre").first).to_contain_text("#")
    await page.get_by_role("button", name="Forget the token").click()
    await open_console(page, READER)
    await page.locator("#rows tr[data-id] button").first.click()
    await expect(page.locator("#timeline li").nth(3)).to_be_attached()
    assert await page.locator("#timeline pre").count() == 0


async def test_a_session_is_ended_from_the_console(
    page: Page, gateway: Gateway, sessions: list[ClientConnection]
) -> None:
    async with connect(f"{gateway.ws}/ws/echo?call_type=chat") as ws:
        await page.get_by_label("Service token").fill(OPERATOR)
        await page.keyboard.press("Enter")
        await page.get_by_role("searchbox").fill("echo")
        await expect(page.locator("#rows tr[data-id]")).to_have_count(1)
        await page.locator("#rows tr[data-id] button").click()
        await page.get_by_role("button", name="End session").click()
        await page.locator("dialog").get_by_role("button", name="End session").click()
        await expect(page.locator("#watching")).to_have_text("This session has ended.")
        async with asyncio.timeout(60):
            await ws.wait_closed()
    assert ws.close_code == 1000
    assert sessions[0].close_code is None
