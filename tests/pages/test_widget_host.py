"""<blackbox-relay-chat> in other people's pages: their scripts, policies, frames and frameworks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.pages import npm
from tests.pages.hosts import ELEMENT, SCRIPT, host, visit
from tests.pages.stub import PAGES, StubGateway

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_properties_set_before_the_definition_are_taken_over(
    page: Page, gateway: StubGateway
) -> None:
    early = """<script>
        const chat = document.getElementById('chat');
        chat.tools = { show_order: (args) => ({ shown: args.order_number }) };
        chat.options = { attempts: 1, turnGap: 0.1 };
        chat.additionalData = { who: 'me' };
        chat.iceServers = [{ urls: 'stun:stun.example.com' }];
        chat.credential = () => 'a-ticket';
        chat.agent = 'support';
        chat.texts = { startChat: 'Begin' };
        chat.callTypes = ['chat', 'webCall'];
    </script>"""
    await host(page, gateway, ELEMENT + early)
    await page.get_by_role("button", name="Begin").click()
    await page.get_by_label("Your message").fill("Where is it?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".bubble").last).to_contain_text("arrives on Thursday")
    (talk,) = gateway.conversations
    answer = next(one for one in talk.arrived if one["type"] == "websocketToolResponse")
    assert answer["content"]["result"] == {"shown": "A-1001"}
    assert talk.arrived[0]["request"]["additionalData"] == {"who": "me"}
    assert talk.credential == "a-ticket"
    taken = await page.evaluate("() => [chat.options.attempts, chat.iceServers[0].urls]")
    assert taken == [1, "stun:stun.example.com"]
    assert await page.evaluate("() => Object.keys(chat)") == ["client"]


async def test_it_needs_no_permission_of_a_policy_with_trusted_types(
    page: Page, gateway: StubGateway
) -> None:
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'none'; connect-src ws:; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    await host(page, gateway, policy=policy)
    await page.evaluate("""() => {
        window.violations = [];
        document.addEventListener('securitypolicyviolation', ({ violatedDirective }) => {
            violations.push(violatedDirective);
        });
    }""")
    await page.get_by_role("button", name="Start a chat").click()
    await page.get_by_label("Your message").fill("See https://example.com/ A-1001")
    await page.keyboard.press("Enter")
    await expect(page.locator(".assistant .bubble").last).to_contain_text("A-1001")
    await page.evaluate("() => chat.setAttribute('call-types', 'webCall chat')")
    await page.get_by_role("button", name="End the conversation").click()
    await expect(page.locator("#ring svg")).to_be_visible()
    assert await page.evaluate("() => violations") == []


async def test_it_can_be_imported_where_there_is_no_document() -> None:
    script = (
        f"const {{ TEXTS, BlackboxRelayChat }} = await import('{(PAGES / 'widget.js').as_uri()}');"
        "console.log(JSON.stringify([TEXTS.send, typeof BlackboxRelayChat]));"
    )
    status, written = await npm.run("node", "--input-type=module", "--eval", script)
    assert status == 0, written
    assert json.loads(written.split("\n")[-2]) == ["Send", "function"]


async def test_a_second_definition_leaves_the_first_one(page: Page, gateway: StubGateway) -> None:
    await host(page, gateway)
    first = "(name) => window.first ??= customElements.get(name)"
    await page.evaluate(first, "blackbox-relay-chat")
    async with StubGateway().serving() as elsewhere:
        for address in ("/widget.js?v=2", f"{elsewhere.url}/widget.js"):
            await page.evaluate("async (address) => { await import(address); }", address)
    assert await page.evaluate("() => customElements.get('blackbox-relay-chat') === first")
    assert await page.evaluate("() => chat instanceof first")


async def test_it_is_styled_again_in_another_document(page: Page, gateway: StubGateway) -> None:
    await host(page, gateway, ELEMENT + "<iframe></iframe>")
    await page.evaluate("() => frames[0].document.body.append(chat)")
    panel = page.frame_locator("iframe").locator(".panel")
    await expect(panel).to_have_css("display", "flex")


HOST_STYLE = """<style>
    html { font-size: 62.5%; }
    body {
        text-transform: uppercase; letter-spacing: .2em; text-align: center; word-spacing: 1em;
        text-indent: 2em; text-shadow: 1px 1px red; cursor: crosshair; hyphens: auto;
        white-space: nowrap; line-height: 3; font: italic bold 30px cursive; color: red;
        user-select: none; direction: ltr;
    }
    * { letter-spacing: 3px; }
</style>"""
LOOKS = """(selector) => {
    const style = getComputedStyle(chat.shadowRoot.querySelector(selector));
    return Object.fromEntries(Object.entries({
        fontSize: 0, textTransform: 0, letterSpacing: 0, textAlign: 0, wordSpacing: 0,
        textIndent: 0, textShadow: 0, cursor: 0, hyphens: 0, lineHeight: 0,
        fontStyle: 0, fontWeight: 0, color: 0, minHeight: 0, fontFamily: 0, whiteSpace: 0,
        width: 0, height: 0,
    }).map(([name]) => [name, style[name]]));
}"""


async def test_a_pages_style_changes_nothing_in_it(page: Page, gateway: StubGateway) -> None:
    selectors = (".panel", "#heading", "#status", ".bubble", "textarea", "#end", ".note", "#log")
    looks: list[list[object]] = []
    for style in ("<style></style>", HOST_STYLE):
        body = f'<div style="width: 500px; height: 600px">{ELEMENT}</div>'
        await host(page, gateway, body, head=style)
        await page.evaluate("() => chat.start('chat')")
        await expect(page.locator(".bubble")).to_have_count(1)
        await page.evaluate(
            "() => chat.client.dispatchEvent(new CustomEvent('draining', { detail: {} }))"
        )
        looks.append([await page.evaluate(LOOKS, selector) for selector in selectors])
    assert looks[0] == looks[1]


async def test_a_page_gives_its_size_of_text(page: Page, gateway: StubGateway) -> None:
    await host(page, gateway, head="<style>#chat { --relay-font-size: 20px; }</style>")
    await expect(page.locator("#intro")).to_have_css("font-size", "20px")


async def test_a_page_that_hides_what_is_around_it_hides_it(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway, f'<div style="visibility: hidden">{ELEMENT}</div>')
    await expect(page.locator(".panel")).to_be_hidden()


async def test_keys_typed_in_it_reach_no_shortcut_of_the_page(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway)
    await page.evaluate("""() => {
        window.heard = [];
        for (const type of ['keydown', 'keypress', 'keyup', 'paste']) {
            addEventListener(type, (event) => {
                heard.push(`${type} ${event.key}`);
                event.preventDefault();
            });
        }
    }""")
    await page.get_by_role("button", name="Start a chat").focus()
    await page.keyboard.press("Enter")
    field = page.get_by_label("Your message")
    await expect(page.locator(".bubble")).to_have_count(1)
    await field.focus()
    await page.keyboard.type("k/ ?")
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Control+c")
    await page.keyboard.press("Control+v")
    assert await field.input_value() == "k/ ?"
    assert await page.evaluate("() => heard") == []
    await page.keyboard.press("Escape")
    heard = await page.evaluate("() => heard")
    assert heard == ["keydown Escape", "keyup Escape"]


@pytest.mark.parametrize("how", ["autostart", "start"])
async def test_a_start_by_the_page_takes_no_focus(
    page: Page, gateway: StubGateway, how: str
) -> None:
    body = '<input autofocus aria-label="Name">' + ELEMENT
    await host(page, gateway, body)
    await page.evaluate(
        """(how) => {
            chat.credential = () => new Promise((done) => (window.grant = () => done('ticket')));
            if (how === 'start') chat.start('chat');
            else { chat.setAttribute('autostart', ''); document.body.append(chat); }
        }""",
        how,
    )
    await page.get_by_label("Name").focus()
    await page.keyboard.type("My na")
    await page.evaluate("() => grant()")
    await expect(page.locator(".bubble")).to_have_count(1)
    await page.keyboard.type("me is")
    assert await page.get_by_label("Name").input_value() == "My name is"
    await expect(page.get_by_label("Your message")).to_have_value("")


async def test_its_own_button_leads_to_the_field_unless_the_person_has_gone_on(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway, '<input aria-label="Name">' + ELEMENT)
    await page.get_by_role("button", name="Start a chat").click()
    await expect(page.get_by_label("Your message")).to_be_focused()
    await page.get_by_role("button", name="End the conversation").click()
    await expect(page.get_by_role("button", name="Start again")).to_be_visible()
    await page.evaluate(
        "() => { chat.credential = () => new Promise((done) => (window.grant = () => done('t'))); }"
    )
    await page.get_by_role("button", name="Start again").click()
    await page.get_by_label("Name").focus()
    await page.evaluate("() => grant()")
    await expect(page.get_by_role("status")).to_have_text("Online")
    await expect(page.locator(".bubble")).to_have_count(1)
    await expect(page.get_by_label("Name")).to_be_focused()


async def test_enter_that_ends_a_composition_sends_nothing(
    page: Page, gateway: StubGateway
) -> None:
    await host(page, gateway)
    await page.get_by_role("button", name="Start a chat").click()
    await expect(page.locator(".bubble")).to_have_count(1)
    field = page.get_by_label("Your message")
    await field.fill("日本")
    await field.evaluate("""(field) => {
        for (const how of [{ isComposing: true }, { keyCode: 229 }]) {
            const enter = { key: 'Enter', bubbles: true, ...how };
            field.dispatchEvent(new KeyboardEvent('keydown', enter));
        }
    }""")
    await expect(field).to_have_value("日本")
    await field.press("Enter")
    await expect(page.locator(".user .bubble")).to_have_text(["日本"])


@pytest.mark.parametrize("size", ["11px", "15px", "22px"])
async def test_no_field_is_so_small_that_a_phone_zooms_in(
    page: Page, gateway: StubGateway, size: str
) -> None:
    await host(page, gateway, head=f"<style>#chat {{ --relay-font-size: {size}; }}</style>")
    sizes = await page.evaluate("""() =>
        [...chat.shadowRoot.querySelectorAll('textarea, select, input')]
            .map((field) => parseFloat(getComputedStyle(field).fontSize))""")
    assert len(sizes) == 3
    assert min(sizes) >= 16


async def test_every_button_is_large_enough_for_a_finger(page: Page, gateway: StubGateway) -> None:
    await host(page, gateway)
    small = await page.evaluate("""() => {
        const found = [];
        for (const node of chat.shadowRoot.querySelectorAll('*')) node.hidden = false;
        for (const node of chat.shadowRoot.querySelectorAll('button, select')) {
            const { width, height } = node.getBoundingClientRect();
            if (width < 44 || height < 44) found.push([node.id || node.textContent, width, height]);
        }
        return found;
    }""")
    assert small == []


async def test_it_begins_nothing_by_being_defined(page: Page, gateway: StubGateway) -> None:
    await visit(page, gateway, ELEMENT + SCRIPT)
    await expect(page.get_by_role("button", name="Start a chat")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("Not connected")
    assert gateway.dials == []
