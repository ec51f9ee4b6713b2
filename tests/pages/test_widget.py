"""<blackbox-relay-chat>: translated, themed, told to screen readers, under a strict policy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.pages.stub import StubGateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLACE = """async (attributes) => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', ({ violatedDirective }) => {
        violations.push(violatedDirective);
    });
    await import('/widget.js');
    const chat = document.createElement('blackbox-relay-chat');
    for (const [name, value] of Object.entries(attributes)) chat.setAttribute(name, value);
    window.widget = chat;
    document.body.append(chat);
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def placed(page: Page) -> AsyncIterator[Page]:
    """A page whose policy must not be violated by the widget that a test places."""
    yield page
    assert await page.evaluate("() => violations") == []


async def place(page: Page, **attributes: str) -> None:
    given = {"agent": "echo"} | {name.replace("_", "-"): text for name, text in attributes.items()}
    await page.evaluate(PLACE, given)


async def test_its_texts_are_translated_by_an_attribute(placed: Page) -> None:
    german = {"startChat": "Chat beginnen", "send": "Senden", "message": "Ihre Nachricht"}
    await place(placed, texts=json.dumps(german), heading="Beratung")
    await placed.get_by_role("button", name="Chat beginnen").click()
    await placed.get_by_label("Ihre Nachricht").fill("Guten Tag")
    await placed.get_by_role("button", name="Senden").click()
    await expect(placed.locator(".assistant .bubble").last).to_have_text("Guten Tag")
    await expect(placed.get_by_role("heading")).to_have_text("Beratung")
    await placed.evaluate("() => widget.setAttribute('texts', JSON.stringify({ send: 'Envoyer' }))")
    await expect(placed.get_by_role("button", name="Envoyer")).to_be_visible()


async def test_a_page_themes_it_by_variables(placed: Page) -> None:
    await place(placed)
    await placed.evaluate("""() => {
        widget.style.setProperty('--relay-accent', 'rgb(90, 40, 160)');
        widget.style.setProperty('--relay-accent-text', 'rgb(255, 250, 240)');
        widget.style.setProperty('--relay-radius', '3px');
    }""")
    start = placed.get_by_role("button", name="Start a chat")
    await expect(start).to_have_css("background-color", "rgb(90, 40, 160)")
    await expect(start).to_have_css("color", "rgb(255, 250, 240)")
    await expect(placed.locator(".panel")).to_have_css("border-top-left-radius", "3px")


async def test_its_theme_can_be_fixed_against_the_readers(placed: Page) -> None:
    await place(placed, theme="dark")
    await expect(placed.locator(".panel")).to_have_css("background-color", "rgb(21, 24, 27)")


async def test_whole_turns_are_told_to_screen_readers_once(placed: Page) -> None:
    await place(placed, autostart="")
    spoken = placed.locator("#spoken")
    await expect(spoken).to_have_text("Agent: Hello! I repeat what you say.")
    await placed.get_by_label("Your message").fill("one")
    await placed.keyboard.press("Enter")
    await expect(spoken.locator("p")).to_have_text(
        ["Agent: Hello! I repeat what you say.", "Agent: one"]
    )
    await expect(placed.locator("#log")).to_have_attribute("aria-live", "off")


async def test_what_was_typed_is_shown_once_although_the_agent_echoes_it(placed: Page) -> None:
    await place(placed, autostart="")
    for text in ("same", "same", "other"):
        await placed.get_by_label("Your message").fill(text)
        await placed.keyboard.press("Enter")
    await expect(placed.locator(".assistant .bubble").last).to_contain_text("other")
    await expect(placed.locator(".user .bubble")).to_have_text(["same", "same", "other"])
    await expect(placed.locator(".waiting")).to_have_count(0)


async def test_nobody_is_called_before_somebody_wants_it(
    placed: Page, gateway: StubGateway
) -> None:
    await place(placed)
    await expect(placed.get_by_role("button", name="Start a chat")).to_be_visible()
    assert gateway.dials == []


async def test_a_lost_line_and_its_return_are_said(placed: Page, gateway: StubGateway) -> None:
    await place(placed, autostart="")
    await expect(placed.locator(".assistant .bubble")).to_have_count(1)
    (talk,) = gateway.conversations
    await talk.close()
    await expect(placed.locator(".note")).to_have_text(
        ["Connection lost. Reconnecting…", "Connected again. Nothing was lost."]
    )
    await expect(placed.get_by_role("status")).to_have_text("Online")


async def test_an_end_says_why_and_when_to_try_again(placed: Page, gateway: StubGateway) -> None:
    await place(placed)
    await placed.get_by_role("button", name="Start a chat").click()
    await expect(placed.get_by_label("Your message")).to_be_focused()
    await expect(placed.locator(".assistant .bubble")).to_have_count(1)
    (talk,) = gateway.conversations
    data = {"code": 4502, "message": "The agent broke down.", "retry": "reconnect"}
    await talk.say({"type": "error", "data": {**data, "retryAfter": 7}})
    await talk.close(4502)
    alert = placed.get_by_role("alert")
    await expect(alert).to_contain_text("The agent broke down.")
    await expect(alert).to_contain_text("You can try again in 7 s.")
    again = placed.get_by_role("button", name="Start again")
    # The focus stays inside, but on no button: Enter that was meant for a message starts nothing.
    await expect(placed.locator(".panel")).to_be_focused()
    await placed.keyboard.press("Enter")
    await expect(placed.get_by_role("status")).to_have_text("Ended")
    await again.click()
    await expect(placed.locator(".assistant .bubble")).to_have_count(1)
    assert len(gateway.conversations) == 2


async def test_motion_is_spared_to_those_who_want_none(placed: Page) -> None:
    await placed.emulate_media(reduced_motion="reduce")
    await place(placed, autostart="")
    await expect(placed.locator(".assistant .bubble")).to_have_count(1)
    assert await placed.evaluate("() => widget.shadowRoot.getAnimations().length") == 0


async def test_moving_it_keeps_the_conversation_and_removing_it_ends_it(
    placed: Page, gateway: StubGateway
) -> None:
    await place(placed, autostart="")
    await expect(placed.locator(".assistant .bubble")).to_have_count(1)
    await placed.evaluate("""() => {
        const box = document.createElement('main');
        document.body.append(box);
        box.append(widget);
    }""")
    assert await placed.evaluate("() => widget.client.state") == "live"
    assert len(gateway.conversations) == 1
    await placed.evaluate("() => widget.remove()")
    await placed.wait_for_function("() => widget.client.state === 'ended'")
    assert gateway.conversations[0].arrived[-1]["type"] == "terminate"


async def test_a_page_shows_its_own_nodes_in_the_conversation(placed: Page) -> None:
    await place(placed, autostart="")
    await placed.evaluate("""() => {
        const card = document.createElement('p');
        card.textContent = 'A card of the page.';
        widget.show(card);
    }""")
    await expect(placed.get_by_text("A card of the page.")).to_be_visible()
    await placed.evaluate("() => widget.start('chat')")
    await expect(placed.get_by_text("A card of the page.")).to_have_count(0)


async def test_a_page_of_another_origin_uses_it(browser: Browser, gateway: StubGateway) -> None:
    async with StubGateway().serving() as elsewhere:
        page = await browser.new_page(bypass_csp=True)
        await page.goto(f"{elsewhere.url}/blank")
        await page.evaluate(
            """async (origin) => {
                await import(`${origin}/widget.js`);
                const chat = document.createElement('blackbox-relay-chat');
                chat.setAttribute('url', `${origin.replace('http', 'ws')}/ws`);
                chat.setAttribute('agent', 'echo');
                chat.setAttribute('autostart', '');
                document.body.append(chat);
            }""",
            gateway.url,
        )
        await expect(page.locator(".assistant .bubble")).to_have_count(1)
        assert len(gateway.conversations) == 1
        assert elsewhere.conversations == []
        await page.close()
