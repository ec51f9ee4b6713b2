"""Visits to the site: what a visitor does on each page, and what is seen of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from playwright.async_api import expect

from tests.e2e.calls import AGENT_TONE
from tests.e2e.vendor_site.observed import Visit
from tests.support.browser import browser as client
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from playwright.async_api import Browser, Page

    from tests.e2e.vendor_site.backend import Backend
    from tests.support.gateway import Emulator

# The page's tools, and how loud the strongest tone of what it hears is.
TOOLS = """() => ({
    check_order_status: ({ order_number }) => ({ order_number, status: 'packed' }),
    show_order: () => 'order shown',
})"""
TONE = """async (remote) => {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192;
    context.createMediaStreamSource(remote).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount);
    for (let tries = 0; tries < 100; tries += 1) {
        await new Promise((done) => setTimeout(done, 100));
        analyser.getFloatFrequencyData(bins);
        const top = bins.indexOf(Math.max(...bins));
        if (bins[top] > -50) return top * context.sampleRate / analyser.fftSize;
    }
    return 0;
}"""
# What the agent ends its turn with, and what the visitor then writes.
CHAT = [("of your order?", "Hello there"), ("for example 1001.", "It is A-1002.")]


@dataclass(frozen=True, slots=True)
class Site:
    """The site as it is deployed: with one server's name in its configuration."""

    backend: Backend
    emulator: Emulator
    browser: Browser

    @asynccontextmanager
    async def page(self, name: str, **query: str) -> AsyncIterator[tuple[Page, Visit]]:
        """Open one of its pages in a profile of its own; nothing may fail in it."""
        context = await self.browser.new_context(permissions=["microphone"])
        page, visit, faults = await context.new_page(), Visit(), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        visit.watch(page, self.backend.base_url.removeprefix("http://"))
        await page.goto(f"{self.backend.page_url}/{name}.html?{urlencode(query)}")
        yield page, visit
        await context.close()
        assert faults == []

    async def look_upstream(self, visit: Visit) -> None:
        """Add what reached the vendor, once its conversation is over."""
        await until(self._over)
        conversation = await self.emulator.last()
        assert conversation["violations"] == []
        visit.result = conversation["result"]
        visit.upstream = [kept["frame"] for kept in conversation["received"]]

    async def _over(self) -> bool:
        return bool((await self.emulator.last())["state"] == "ended")


@dataclass(frozen=True, slots=True)
class Deployments:
    """The same site twice."""

    direct: Site
    through: Site

    async def both(self, visit: Callable[[Site], Awaitable[Visit]]) -> tuple[Visit, Visit]:
        """Make a visit to each at the same time, the emulators varying their frames alike."""
        held = [len(await site.emulator.conversations()) for site in (self.direct, self.through)]
        for site, count in zip((self.direct, self.through), held, strict=True):
            for _ in range(max(held) - count):
                async with client(f"{site.emulator.url}/api/v1/ws/webCall?token=none") as socket:
                    await socket.closed()
        direct, through = await asyncio.gather(visit(self.direct), visit(self.through))
        return direct, through


async def open_widget(page: Page, status: str = "Ready") -> None:
    """Open the widget's panel; wait until it says that it is ready, or what else it is."""
    await page.get_by_role("button", name="Talk to us").click()
    await expect(page.get_by_role("status")).to_have_text(status)
    await page.evaluate(
        f"""() => {{
            agent.tools = ({TOOLS})();
            agent.addEventListener('ended', ({{ detail }}) => {{ window.code = detail.code; }});
        }}"""
    )


async def widget_ended(site: Site, page: Page, visit: Visit) -> Visit:
    await page.wait_for_function("() => window.code !== undefined")
    visit.code = await page.evaluate("() => code")
    visit.shown = await page.locator("li").all_text_contents()
    visit.shown.append(await page.get_by_role("status").inner_text())
    await site.look_upstream(visit)
    return visit


async def widget_chat(site: Site, **attributes: str) -> Visit:
    async with site.page("widget", **attributes) as (page, visit):
        await open_widget(page)
        await page.get_by_role("button", name="Chat").click()
        for asked, said in CHAT:
            await expect(page.locator("li").filter(has_text=asked)).to_have_count(1)
            await page.get_by_label("Message").fill(said)
            await page.get_by_label("Message").press("Enter")
        return await widget_ended(site, page, visit)


async def widget_call(site: Site, **attributes: str) -> Visit:
    async with site.page("widget", **attributes) as (page, visit):
        await open_widget(page)
        await page.get_by_role("button", name="Call").click()
        await expect(page.get_by_role("status")).to_have_text("In a call")
        await page.wait_for_function("() => agent.peer.connectionState === 'connected'")
        assert abs(await page.evaluate(f"() => ({TONE})(agent.remote)") - AGENT_TONE) < 15
        await expect(page.locator("li").filter(has_text="I can hear you.")).to_have_count(1)
        await page.evaluate("() => agent.peer.getSenders()[0].dtmf.insertDTMF('4')")
        await expect(page.locator("li").filter(has_text="You pressed 4.")).to_have_count(1)
        await page.get_by_role("button", name="Finish").click()
        return await widget_ended(site, page, visit)


async def start_by_guide(site: Site, page: Page, call_type: str) -> None:
    session = await site.backend.session()
    await page.evaluate(
        f"""([url, callType]) => {{
            Object.assign(tools, ({TOOLS})());
            start(url, callType, {{ marker: 'guide' }});
        }}""",
        [session["socketUrl"], call_type],
    )


async def guide_ended(site: Site, page: Page, visit: Visit) -> Visit:
    await page.wait_for_function("() => codes.length === 1")
    visit.code = await page.evaluate("() => codes[0]")
    visit.shown = await page.locator("p").all_text_contents()
    await site.look_upstream(visit)
    return visit


async def guide_chat(site: Site) -> Visit:
    async with site.page("guide") as (page, visit):
        await start_by_guide(site, page, "chat")
        for asked, said in CHAT:
            await expect(page.locator("p").filter(has_text=asked)).to_have_count(1)
            await page.evaluate("(said) => say(said)", said)
        return await guide_ended(site, page, visit)


async def guide_call(site: Site) -> Visit:
    async with site.page("guide") as (page, visit):
        await start_by_guide(site, page, "webCall")
        await page.wait_for_function("() => window.peer?.connectionState === 'connected'")
        assert abs(await page.evaluate(f"() => ({TONE})(remote)") - AGENT_TONE) < 15
        await expect(page.locator("p").filter(has_text="I can hear you.")).to_have_count(1)
        await page.evaluate("() => peer.getSenders()[0].dtmf.insertDTMF('4')")
        await expect(page.locator("p").filter(has_text="You pressed 4.")).to_have_count(1)
        await page.evaluate("() => end()")
        return await guide_ended(site, page, visit)
