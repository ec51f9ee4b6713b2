"""client.js and the widget while backends and operators speak: who, once, and over a reload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.pages.hosts import ELEMENT, host

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEEP = ELEMENT.replace("<blackbox-relay-chat ", "<blackbox-relay-chat keep ")
HEARD = """() => {
    window.heard = [];
    for (const type of ['notice', 'takeover', 'handback', 'event']) {
        chat.client.on(type, (detail) => heard.push([type, detail]));
    }
}"""


def event(name: str, number: int, **data: Any) -> dict[str, Any]:
    return {"type": "event", "name": f"relay.{name}", "number": number, "data": data}


def spoken(text: str, speaker: str) -> dict[str, Any]:
    return {"type": "text", "content": {"source": "assistant", "speaker": speaker, "text": text}}


async def test_events_come_once_and_a_takeover_outlives_a_reload(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway, f"<main>{KEEP}</main>")
    await page.get_by_role("button", name="Start a chat").click()
    await expect(page.locator(".bubble")).to_have_count(1)
    await page.evaluate(HEARD)
    agent = gateway.conversations[-1]
    await agent.say(event("notice", 1, content="Your parcel is near."))
    await agent.say(event("cart", 2, items=3))
    await agent.say(event("takeover", 3, operator="Ann $& Co"))
    for again in (1, 2, 3):
        await agent.say(event("notice", again, content="again"))
    await agent.say(spoken("I am Ann.", "operator"))
    await agent.say(spoken("A voucher.", "backend"))
    await expect(page.locator(".turn")).to_have_count(3)
    assert await page.evaluate("() => heard") == [
        ["notice", {"content": "Your parcel is near."}],
        ["event", {"name": "relay.cart", "data": {"items": 3}}],
        ["takeover", {"operator": "Ann $& Co"}],
    ]
    assert await page.evaluate("() => chat.client.takeover") == {"operator": "Ann $& Co"}
    shown = page.locator(".turn")
    assert [await shown.nth(n).get_attribute("data-speaker") for n in range(3)] == [
        "agent",
        "operator",
        "backend",
    ]
    await expect(page.locator(".note")).to_have_text(
        ["Your parcel is near.", "Ann $& Co has joined. You are talking to a person now."]
    )
    await page.reload()
    await expect(page.get_by_role("status")).to_have_text("Online")
    await page.evaluate("() => { window.chat = document.getElementById('chat'); }")
    assert await page.evaluate("() => chat.client.takeover") == {"operator": "Ann $& Co"}
    await page.evaluate(HEARD)
    agent = gateway.conversations[-1]
    await agent.say(event("takeover", 3, operator="Ann $& Co"))
    await agent.say(event("handback", 4, operator="Ann $& Co"))
    await expect(page.locator(".note")).to_have_text(
        ["Ann $& Co has left. You are talking to our assistant again."]
    )
    assert await page.evaluate("() => heard") == [["handback", {"operator": "Ann $& Co"}]]
    assert await page.evaluate("() => chat.client.takeover") is None
    shown = await page.evaluate("() => chat.client.turns.map(({ speaker }) => speaker)")
    assert shown == ["agent", "operator", "backend"]
