"""A chat that outlives its page, in Chromium: a reload, a second tab, a second device."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support import gateway as processes
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, BrowserContext, Page

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "canary-jwt-secret-of-thirty-two-bytes"
OPEN = """async (options) => {
    const { RelayClient } = await import('/client.js');
    const { token, ...given } = options;
    const chat = new RelayClient({ url: '/ws/echo', callType: 'chat', credential: () => token, ...given });
    const texts = (turns) => turns.map(({ source, text }) => `${source}: ${text}`);
    Object.assign(window, { chat, states: [], histories: [], turns: [], texts });
    chat.on('state', ({ state }) => states.push(state));
    chat.on('history', ({ turns }) => histories.push(texts(turns)));
    chat.on('turn', (turn) => turns.push(...texts([turn])));
    await chat.open();
    return chat.session.sessionId;
}"""  # noqa: E501 - a script that runs in the page
WIDGET = """async ({ token }) => {
    await import('/widget.js');
    const widget = document.createElement('blackbox-relay-chat');
    widget.setAttribute('url', '/ws/echo');
    widget.setAttribute('keep', '');
    widget.options = { credential: () => token };
    document.body.replaceChildren(widget);
    window.widget = widget;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with processes.gateway(
        emulator.url, auth="jwt", jwt_secret=SECRET, chat_keep=60, resume_window=1
    ) as running:
        yield running


def given(subject: str, **options: Any) -> dict[str, Any]:
    """Options of a page, with a credential."""
    token = jwt.encode({"sub": subject, "exp": time.time() + 600}, SECRET, "HS256")
    return {"token": token, **options}


@asynccontextmanager
async def device(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser of its own: no storage is shared with another."""
    context = await browser.new_context()
    yield context
    await context.close()


async def blank(context: BrowserContext, gateway: Gateway) -> Page:
    page = await context.new_page()
    await page.goto(f"{gateway.base}/console")
    return page


async def says(page: Page, text: str) -> None:
    await page.evaluate("(text) => chat.send(text)", text)


async def hears(page: Page, *texts: str) -> None:
    """Wait until both sides of each text are whole turns of this page, in their order."""
    wanted = [f"{source}: {text}" for text in texts for source in ("user", "assistant")]
    await page.wait_for_function(
        "(wanted) => JSON.stringify(texts(chat.turns).slice(-wanted.length)) === JSON.stringify(wanted)",  # noqa: E501
        arg=wanted,
    )


async def test_second_device_joins_by_id_and_both_see_both_sides(
    browser: Browser, gateway: Gateway
) -> None:
    async with device(browser) as phone, device(browser) as laptop:
        first = await blank(phone, gateway)
        session = await first.evaluate(OPEN, given("ann", keep=True))
        await says(first, "from the phone")
        await hears(first, "from the phone")
        second = await blank(laptop, gateway)
        assert await second.evaluate(OPEN, given("ann", join=session)) == session
        await hears(second, "from the phone")
        assert await second.evaluate("() => histories") == [
            ["user: from the phone", "assistant: from the phone"]
        ]
        await says(second, "from the laptop")
        for page in (first, second):
            await hears(page, "from the phone", "from the laptop")
        await second.close()
        await says(first, "alone again")
        await hears(first, "alone again")
        assert await first.evaluate("async () => (await chat.hangUp()).code") == 1000


async def test_another_subject_is_refused(browser: Browser, gateway: Gateway) -> None:
    async with device(browser) as phone, device(browser) as stranger:
        first = await blank(phone, gateway)
        session = await first.evaluate(OPEN, given("ben", keep=True))
        second = await blank(stranger, gateway)
        refused = await second.evaluate(
            f"async (options) => ({OPEN})(options).catch(({{ code, retry }}) => [code, retry])",
            given("mallory", join=session),
        )
        assert refused == [4403, "no"]
        assert await second.evaluate("() => [chat.state, chat.turns.length]") == ["ended", 0]


async def test_reload_after_the_resume_window_joins_the_chat_again(
    browser: Browser, gateway: Gateway
) -> None:
    async with device(browser) as phone:
        page = await blank(phone, gateway)
        options = given("cat", keep=True)
        session = await page.evaluate(OPEN, options)
        await says(page, "before")
        await hears(page, "before")
        await page.goto("about:blank")
        left_at = time.monotonic()
        await until(lambda: time.monotonic() - left_at > 2)  # twice the resume window
        await page.goto(f"{gateway.base}/console")
        assert await page.evaluate(OPEN, options) == session
        await hears(page, "before")
        await says(page, "after")
        await hears(page, "before", "after")
        assert await page.evaluate("() => states") == ["live"]


async def test_page_that_comes_too_late_to_resume_joins_and_learns_what_it_missed(
    browser: Browser, gateway: Gateway
) -> None:
    async with device(browser) as phone, device(browser) as laptop:
        first = await blank(phone, gateway)
        session = await first.evaluate(OPEN, given("dan", keep=True))
        await says(first, "one")
        await hears(first, "one")
        second = await blank(laptop, gateway)
        await second.evaluate(OPEN, given("dan", join=session))
        await phone.set_offline(True)
        await first.wait_for_function("() => chat.state === 'resuming'")
        await says(second, "two")
        await hears(second, "one", "two")
        left_at = time.monotonic()
        await until(lambda: time.monotonic() - left_at > 2)
        await phone.set_offline(False)
        await first.wait_for_function("() => chat.state === 'live'")
        await hears(first, "one", "two")
        assert await first.evaluate("() => turns") == [
            *("user: one", "assistant: one", "user: two", "assistant: two")
        ]
        await says(first, "three")
        for page in (first, second):
            await hears(page, "one", "two", "three")


async def test_widget_that_keeps_shows_the_same_chat_in_a_second_tab(
    browser: Browser, gateway: Gateway
) -> None:
    async with device(browser) as phone:
        first = await blank(phone, gateway)
        await first.evaluate(WIDGET, given("eve"))
        await first.get_by_role("button", name="Start a chat").click()
        await first.get_by_label("Your message").fill("from the first tab")
        await first.keyboard.press("Enter")
        await expect(first.locator(".assistant .bubble").last).to_have_text("from the first tab")
        second = await blank(phone, gateway)
        await second.evaluate(WIDGET, given("eve"))
        bubbles = ["from the first tab", "from the first tab"]
        await expect(second.locator(".bubble")).to_have_text(bubbles)
        await second.get_by_label("Your message").fill("from the second tab")
        await second.keyboard.press("Enter")
        bubbles += ["from the second tab", "from the second tab"]
        for page in (first, second):
            await expect(page.locator(".bubble")).to_have_text(bubbles)
        await second.get_by_role("button", name="End the conversation").click()
        for page in (first, second):
            await expect(page.get_by_role("status")).to_have_text("Ended")
        third = await blank(phone, gateway)
        await third.evaluate(WIDGET, given("eve"))
        await expect(third.get_by_role("button", name="Start a chat")).to_be_visible()
