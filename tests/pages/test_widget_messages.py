"""What <blackbox-relay-chat> shows of a conversation: scrolling, links, directions, words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.pages.hosts import ELEMENT, host

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway
    from tests.pages.stub_agents import Conversation

pytestmark = pytest.mark.asyncio(loop_scope="session")

STYLE = "<style>#chat { height: 100% }</style>"
BOX = f'<div style="width: 500px; height: 460px">{ELEMENT}</div>{STYLE}'
FROM_END = """() => {
    const log = chat.shadowRoot.getElementById('log');
    return Math.round(log.scrollHeight - log.scrollTop - log.clientHeight);
}"""
TO_TOP = "() => { chat.shadowRoot.getElementById('log').scrollTop = 0; }"


async def talk(page: Page, gateway: StubGateway, **more: Any) -> Conversation:
    """A live conversation whose turns end at once."""
    await host(page, gateway, more.pop("body", BOX), **more)
    await page.evaluate("() => { chat.options = { turnGap: 0.05 }; return chat.start('chat'); }")
    await expect(page.locator(".bubble")).to_have_count(1)
    return gateway.conversations[-1]


async def say(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Enter")


async def long_talk(page: Page, gateway: StubGateway) -> Conversation:
    agent = await talk(page, gateway)
    await agent.text("A line of a long answer.\n" * 60)
    await expect(page.locator(".assistant .bubble").last).to_contain_text("long answer")
    await page.wait_for_function(f"() => ({FROM_END})() < 2")
    return agent


async def test_a_reader_who_scrolled_up_stays_there(page: Page, gateway: StubGateway) -> None:
    agent = await long_talk(page, gateway)
    await page.evaluate(TO_TOP)
    away = await page.evaluate(FROM_END)
    assert away > 600
    await agent.text("One more piece.")
    await expect(page.locator(".assistant .bubble").last).to_contain_text("One more piece.")
    hint = page.get_by_role("button", name="New messages")
    await expect(hint).to_be_visible()
    assert await page.evaluate("() => chat.shadowRoot.getElementById('log').scrollTop") == 0
    await agent.text("typed elsewhere", "user")
    await agent.text("A turn of its own.")
    await expect(page.locator(".bubble").last).to_contain_text("A turn of its own.")
    assert await page.evaluate("() => chat.shadowRoot.getElementById('log').scrollTop") == 0
    await hint.click()
    assert await page.evaluate(FROM_END) < 2
    await expect(hint).to_be_hidden()


async def test_a_reader_at_the_end_is_taken_along(page: Page, gateway: StubGateway) -> None:
    agent = await long_talk(page, gateway)
    for number in range(5):
        await agent.text(f"Piece {number} of the answer, which makes it longer and longer. ")
    await expect(page.locator(".bubble").last).to_contain_text("Piece 4")
    assert await page.evaluate(FROM_END) < 2
    await expect(page.get_by_role("button", name="New messages")).to_be_hidden()
    await page.evaluate("() => { chat.parentElement.style.height = '420px'; }")
    await page.wait_for_function(f"() => ({FROM_END})() < 2")


async def test_ones_own_message_is_always_in_view(page: Page, gateway: StubGateway) -> None:
    await long_talk(page, gateway)
    await page.evaluate(TO_TOP)
    await say(page, "my own words")
    await expect(page.locator(".user .bubble")).to_be_in_viewport()
    assert await page.evaluate(FROM_END) < 2


async def test_the_hint_goes_when_the_reader_comes_back(page: Page, gateway: StubGateway) -> None:
    agent = await long_talk(page, gateway)
    await page.evaluate(TO_TOP)
    await agent.text("news", "user")
    hint = page.get_by_role("button", name="New messages")
    await expect(hint).to_be_visible()
    await page.locator("#log").press("End")
    await expect(hint).to_be_hidden()


@pytest.mark.parametrize(
    ("text", "direction"),
    [("مرحبا، طلبك A-1001 في الطريق.", "rtl"), ("שלום 42!", "rtl"), ("Hello مرحبا", "ltr")],
)
async def test_a_message_runs_in_the_direction_of_its_script(
    page: Page, gateway: StubGateway, text: str, direction: str
) -> None:
    await talk(page, gateway)
    await say(page, text)
    for bubble in (page.locator(".user .bubble"), page.locator(".assistant .bubble").last):
        await expect(bubble).to_have_text(text)
        await expect(bubble).to_have_css("direction", direction)
    await page.get_by_label("Your message").fill(text)
    await expect(page.get_by_label("Your message")).to_have_css("direction", direction)


async def test_a_right_to_left_page_has_its_own_messages_on_the_left(
    page: Page, gateway: StubGateway
) -> None:
    await talk(page, gateway, attributes='dir="rtl" lang="ar"')
    await say(page, "نعم")
    own = await page.locator(".user .bubble").bounding_box()
    theirs = await page.locator(".assistant .bubble").first.bounding_box()
    assert own is not None
    assert theirs is not None
    assert own["x"] < theirs["x"]


LINKS = [
    ("See https://example.com/help.", ["https://example.com/help"]),
    ("(http://example.com/a_(b)) and HTTPS://EXAMPLE.COM", ["http://example.com/a_(b)", "https://example.com/"]),
    ("見て、https://example.com/道。次", ["https://example.com/%E9%81%93%E3%80%82%E6%AC%A1"]),
    ("**https://example.com/x**", ["https://example.com/x"]),
    ("javascript:alert(1) data:text/html,x ftp://example.com file:///etc/passwd", []),
    ("https:// http://", []),
    ("xhttps://example.com", []),
    ('https://example.com/"onclick="x <https://example.org/>', ["https://example.com/", "https://example.org/"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "addresses"), LINKS)
async def test_addresses_of_the_web_and_no_others_become_links(
    page: Page, gateway: StubGateway, text: str, addresses: list[str]
) -> None:
    agent = await talk(page, gateway)
    await agent.text("\n" + text)
    bubble = page.locator(".assistant .bubble").last
    await expect(bubble).to_contain_text(text)
    links = await bubble.locator("a").evaluate_all(
        "(all) => all.map((a) => [a.href, a.rel, a.target])"
    )
    assert [href for href, *_ in links] == addresses
    assert all(rest == ["noopener noreferrer", "_blank"] for _, *rest in links)


async def test_a_link_that_comes_in_pieces_is_one_link(page: Page, gateway: StubGateway) -> None:
    agent = await talk(page, gateway)
    for piece in ("\nSee ", "https://exam", "ple.com/", "order/A-1001 ", "now"):
        await agent.text(piece)
    bubble = page.locator(".assistant .bubble").last
    await expect(bubble).to_contain_text("now")
    await expect(bubble.locator("a")).to_have_text(["https://example.com/order/A-1001"])


async def test_the_number_of_an_order_is_not_broken(page: Page, gateway: StubGateway) -> None:
    agent = await talk(page, gateway)
    words = ["A-1001", "2026-11-26", "+1-555-0100", "24/7", "AB\u201012\u2013CD"]
    for word in words:
        await agent.text(f"\n{word} " * 3 + f"{'x' * 40}-{'y' * 40}", "user")
    await expect(page.locator(".user .bubble")).to_have_count(len(words))
    # At whatever width: the parts of one word stand on one line.
    lines = await page.evaluate("""() => {
        const found = [];
        for (let width = 200; width <= 420; width += 7) {
            chat.parentElement.style.width = `${width}px`;
            for (const word of chat.shadowRoot.querySelectorAll('.whole')) {
                found.push([word.textContent, word.getClientRects().length]);
            }
        }
        return found;
    }""")
    assert {word for word, _ in lines} == set(words)
    assert {number for _, number in lines} == {1}


async def test_an_echo_with_other_white_space_is_the_same_message(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway, ELEMENT.replace("echo", "silent"))
    await page.evaluate("() => chat.start('chat')")
    await page.get_by_label("Your message").fill("two  spaces\nand a line, cafe\u0301")
    await page.keyboard.press("Enter")
    await gateway.conversations[0].text("two spaces and a line, caf\u00e9", "user")
    await expect(page.locator(".waiting")).to_have_count(0)
    await expect(page.locator(".user .bubble")).to_have_count(1)


async def test_the_column_has_a_greatest_width(page: Page, gateway: StubGateway) -> None:
    await talk(page, gateway, body=ELEMENT)
    await say(page, "short")
    own = await page.locator(".user .bubble").bounding_box()
    theirs = await page.locator(".assistant .bubble").first.bounding_box()
    composer = await page.locator("#message").bounding_box()
    assert own is not None
    assert theirs is not None
    assert composer is not None
    assert own["x"] + own["width"] - theirs["x"] <= 736
    assert composer["width"] <= 736
    await page.evaluate("() => { chat.shadowRoot.getElementById('call').hidden = false; }")
    meter = await page.locator(".meters").bounding_box()
    assert meter is not None
    assert meter["width"] <= 736


@pytest.mark.parametrize("unit", ["word ", "字", "z", ")", "https://a.b/)", "1-"])
async def test_a_long_turn_costs_time_in_step_with_its_length(
    page: Page, gateway: StubGateway, unit: str
) -> None:
    await talk(page, gateway)
    seconds = await page.evaluate(
        """async (unit) => {
            const { GrowingText } = await import('/widget/text.js');
            const time = (pieces) => {
                const box = document.createElement('p');
                const growing = new GrowingText(box, '');
                let text = '';
                const began = performance.now();
                for (let at = 0; at < pieces; at += 1) growing.update((text += unit.repeat(4)));
                if (box.textContent !== text) throw new Error('not the text');
                return (performance.now() - began) / 1000;
            };
            time(100);
            return [time(500), time(2000)];
        }""",
        unit,
    )
    assert seconds[1] < max(1.5, 10 * seconds[0]), seconds


async def test_a_message_that_is_too_large_stays_in_the_field(
    page: Page, gateway: StubGateway
) -> None:
    await talk(page, gateway)
    await page.get_by_label("Your message").fill("x" * 70_000)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("Shorten it, and send it again.")
    assert len(await page.get_by_label("Your message").input_value()) == 70_000


async def test_a_reader_at_the_end_sees_why_the_next_start_failed(
    page: Page, gateway: StubGateway
) -> None:
    """The field and the start buttons take each other's place, and change the log's height."""
    await long_talk(page, gateway)
    await page.evaluate("() => chat.end()")
    start = page.get_by_role("button", name="Start again")
    await expect(start).to_be_visible()
    await page.wait_for_function(f"() => ({FROM_END})() < 2")
    gateway.refusals.append({"code": 4404, "name": "no_such_agent", "message": "No such agent."})
    await start.click()
    problem = page.get_by_role("alert").filter(has_text="No such agent.")
    await expect(problem).to_be_in_viewport(ratio=0.9)
    await expect(page.get_by_role("button", name="New messages")).to_be_hidden()
    assert await page.evaluate(FROM_END) < 2
