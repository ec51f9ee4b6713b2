"""A page that was written for the vendor's own endpoint: only its URL is changed.

It uses no client.js. What it does is what the vendor's public voice and chat guides tell: one
`initialize`, the offer from `sdpInvite`, all candidates gathered, `sdpAnswer`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.e2e.calls import AGENT_TONE, voice
from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

VENDOR_PAGE = (Path(__file__).parent / "vendor_page.js").read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    agents = {
        "voice": voice(codec="g711"),
        "support": {
            "call_types": ["chat"],
            "browser_tools": ["show_order"],
            "initialize": {"additionalData": {"agent": "support"}},
        },
    }
    async with processes.gateway(emulator.url, agents=agents, auth="ticket") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(voice_browser: Browser, gateway: Gateway) -> AsyncIterator[Page]:
    context = await voice_browser.new_context(permissions=["microphone"])
    page = await context.new_page()
    await page.goto(f"{gateway.base}/console")
    yield page
    await context.close()


async def open_vendor_page(page: Page, gateway: Gateway, agent: str, call_type: str) -> None:
    async with gateway.api() as api:
        ticket = (await api.post("/v1/tickets", json={"subject": "c-1", "agent": agent})).json()
    given: dict[str, Any] = {
        "url": f"{gateway.ws}/api/v1/ws/webCall?token={ticket['ticket']}",
        "callType": call_type,
        "additionalData": {},
    }
    await page.evaluate(VENDOR_PAGE, given)


async def test_a_vendor_page_holds_a_call(page: Page, gateway: Gateway, emulator: Emulator) -> None:
    await open_vendor_page(page, gateway, "voice", "webCall")
    await page.wait_for_function("() => window.peer?.connectionState === 'connected'")
    assert abs(await page.evaluate("() => loudness()") - AGENT_TONE) < 15
    await page.wait_for_function("() => spoken().includes('I can hear you.')")
    await page.evaluate("() => peer.getSenders()[0].dtmf.insertDTMF('4')")
    await page.wait_for_function("() => spoken().includes('You pressed 4.')")
    await page.evaluate(
        "() => ws.send(JSON.stringify({ type: 'terminate', timestamp: new Date().toISOString() }))"
    )
    await page.wait_for_function("() => closes.length === 1")
    assert await page.evaluate("() => closes") == [1000]
    assert (await emulator.last())["result"]["digits"] == "4"


async def test_a_vendor_page_chats_and_answers_its_tool(
    page: Page, gateway: Gateway, emulator: Emulator
) -> None:
    await open_vendor_page(page, gateway, "support", "chat")
    await page.wait_for_function("() => spoken().includes('number of your order')")
    await page.evaluate("() => say('It is A-1002.')")
    await page.wait_for_function("() => frames_.some((one) => one.type === 'websocketToolRequest')")
    await page.evaluate("""() => {
        const { content, channelId } = frames_.find((one) => one.type === 'websocketToolRequest');
        ws.send(JSON.stringify({
            type: 'websocketToolResponse', timestamp: new Date().toISOString(),
            channelId: channelId ?? null,
            content: { id: content.id, result: { shown: true } },
        }));
    }""")
    await page.wait_for_function("() => closes.length === 1")
    assert await page.evaluate("() => closes") == [1000]
    assert "status packed" in await page.evaluate("() => spoken()")
    own = await page.evaluate("() => frames_.filter((one) => one.name === 'relay.session')")
    assert [one["data"]["resume"] for one in own] == [None]
    assert (await emulator.last())["result"]["orders"] == 1
