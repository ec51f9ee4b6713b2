"""Two operators in Chromium, on one replica, and a customer whose chat is on another."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from tests.console.operators import PEOPLE
from tests.console.pages import at_the_console
from tests.pages.looks import assert_accessible_in_both, assert_fits, keep
from tests.support.browser import Browser as Customer
from tests.support.browser import browser as customer_browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.replicas.pair import ReplicaPair
    from tests.support.oidc import Provider

pytestmark = pytest.mark.asyncio(loop_scope="package")
OTTO = PEOPLE["operator"] | {"name": "Otto Operator"}
OLGA: dict[str, Any] = {"sub": "operator-2", "name": "Olga Operator", "roles": ["operator"]}


async def said_by(page: Page, session: str, body: dict[str, str]) -> list[object]:
    """Send a message as this person, past the console's own rules: status, title, operator."""
    said: list[object] = await page.evaluate(
        """async ([path, body]) => {
            const headers = { 'Content-Type': 'application/json', 'X-Relay-Console': '1' };
            const asked = { method: 'POST', headers, body: JSON.stringify(body) };
            const answer = await fetch(path, asked);
            const { title, operator } = await answer.json();
            return [answer.status, title, operator];
        }""",
        [f"/v1/sessions/{session}/messages", body],
    )
    return said


async def assert_silenced(page: Page, session: str, operator: str) -> None:
    """A person is refused every way to speak in a chat that this operator has taken over."""
    said = {"content": "psst", "as": "agent"}
    for body in (
        said,
        said | {"as": "notice"},
        said | {"operator": operator},
        said | {"speaker": "backend"},
    ):
        assert await said_by(page, session, body) == [409, "taken", operator], body


@asynccontextmanager
async def customer(pair: ReplicaPair, marker: str) -> AsyncIterator[Customer]:
    """A customer's page, on the first replica."""
    ticket = (await pair.mint(agent="asks", additional_data={"marker": marker}))["ticket"]
    url = f"{pair.replicas[0].ws}/ws/asks?ticket={quote(ticket)}"
    async with customer_browser(url, native=True) as user:
        yield user


async def heard(pair: ReplicaPair, marker: str) -> list[str]:
    found = (await pair.vendor.conversation(marker))["received"]
    return [f["frame"]["content"] for f in found if f["frame"]["type"] == "incomingChatMessage"]


async def assert_noted(pair: ReplicaPair, name: str, person: dict[str, Any]) -> None:
    """What this operator did is in the audit log, under the name and the provider's subject."""
    audit = await pair.backend.get(f"{pair.replicas[0].base}/v1/audit", params={"limit": 100})
    entries = [e for e in audit.json()["entries"] if e["actor"] == name]
    done = {e["action"] for e in entries}
    assert {"takeover.start", "takeover.end", "session.message", "content.read"} <= done
    assert {e["subject"] for e in entries} == {person["sub"]}


async def test_of_two_operators_one_talks_and_the_other_is_told_who(
    pair: ReplicaPair, provider: Provider, browser: Browser
) -> None:
    base = pair.replicas[1].base
    async with (
        customer(pair, "two") as user,
        at_the_console(browser, base, provider, OTTO) as otto,
        at_the_console(browser, base, provider, OLGA) as olga,
    ):
        session = await user.connected()
        await user.talks("good morning")
        await user.say("a person, please")
        for page in (otto, olga):
            await expect(page.locator("#people-title")).to_have_text("1 chat wants a person")
            await expect(page.locator("#people-list .why")).to_have_text("a person, please")
        await assert_accessible_in_both(otto)
        buttons = [
            page.locator("#people").get_by_role("button", name="Take over asks", exact=False)
            for page in (otto, olga)
        ]
        await asyncio.gather(*(button.click() for button in buttons))
        state = "You speak with the customer. The agent is held until you hand back."

        async def winner() -> Page | None:
            spoken = [await page.locator("#speak").is_visible() for page in (otto, olga)]
            told = [await page.locator("#talk-fault").is_visible() for page in (otto, olga)]
            if spoken == told or sum(spoken) != 1 or sum(told) != 1:
                return None
            return otto if spoken[0] else olga

        first = await until(winner)
        second, name = (olga, "Otto") if first is otto else (otto, "Olga")
        await expect(first.locator("#talk-state")).to_have_text(state)
        await expect(second.locator("#talk-fault")).to_have_text(
            f"{name} Operator has taken this chat over already."
        )
        await expect(second.locator("#claim")).to_be_hidden()
        await expect(second.locator("#people")).to_be_hidden()
        taken = await user.frame("event", "relay.takeover")
        assert taken["data"] == {"operator": f"{name} Operator"}

        await user.say("is this a person?")
        for page in (first, second):
            await expect(page.locator("#turns")).to_contain_text("is this a person?")
        await first.get_by_label("Your message to the customer").fill("Yes. How can I help?")
        await first.keyboard.press("Enter")
        while (said := (await user.frame("text"))["content"])["source"] == "user":
            pass
        assert said == {
            "source": "assistant",
            "speaker": "operator",
            "text": "Yes. How can I help?",
        }
        await expect(first.locator("#turns li.operator .text")).to_have_text("Yes. How can I help?")
        assert "is this a person?" not in await heard(pair, "two")
        await assert_accessible_in_both(first)
        await keep(first, "console-talk")
        await first.set_viewport_size({"width": 360, "height": 740})
        await assert_fits(first, 360)
        await keep(first, "console-talk-phone")

        await assert_silenced(second, session, f"{name} Operator")
        assert "psst" not in str(user.frames)

        await first.get_by_role("button", name="Hand back").click()
        await first.get_by_label("What the agent should know").fill("She wants a refund.")
        await assert_accessible_in_both(first)
        await first.locator("dialog").get_by_role("button", name="Hand back").click()
        await user.frame("event", "relay.handback")
        await expect(first.locator("#speak")).to_be_hidden()
        await expect(second.locator("#claim")).to_be_visible()

        async def is_told() -> bool:
            return (await heard(pair, "two"))[-1] == "She wants a refund."

        await until(is_told)
    await assert_noted(pair, f"{name} Operator", OTTO if name == "Otto" else OLGA)


async def test_an_operator_who_reloads_goes_on_talking_and_a_stranger_cannot_take_the_name(
    pair: ReplicaPair, provider: Provider, browser: Browser
) -> None:
    base = pair.replicas[1].base
    async with (
        customer(pair, "reload") as user,
        at_the_console(browser, base, provider, OTTO) as page,
    ):
        session = await user.connected()
        await page.locator(f'tr[data-id="{session}"] button').click()
        await page.get_by_role("button", name="Take over").click()
        await expect(page.locator("#speak")).to_be_visible()
        await page.reload()
        await page.locator(f'tr[data-id="{session}"] button').click()
        forged = f"/v1/sessions/{session}/takeover"
        async with at_the_console(browser, base, provider, OLGA) as olga:
            status = await olga.evaluate(
                """async (path) => (await fetch(path, {
                    method: 'POST',
                    headers: { 'Content-Type': 'application/json', 'X-Relay-Console': '1' },
                    body: JSON.stringify({ operator: 'Otto Operator' }),
                })).status""",
                forged,
            )
            assert status == 409
        await page.get_by_role("button", name="Go on talking").click()
        await expect(page.locator("#speak")).to_be_visible()


async def test_a_tool_call_waits_for_an_operators_word(
    pair: ReplicaPair, provider: Provider, browser: Browser
) -> None:
    base = pair.replicas[1].base
    data = {
        "agent": "counter",
        "count": 3,
        "rate": 20.0,
        "toolEvery": 2,
        "tool": "check_order_status",
        "toolTimeout": 60.0,
        "marker": "approval",
    }
    ticket = (await pair.mint(agent="approved", additional_data=data))["ticket"]
    url = f"{pair.replicas[0].ws}/ws/approved?ticket={quote(ticket)}"
    async with (
        customer_browser(url, native=True) as user,
        at_the_console(browser, base, provider, OTTO) as page,
    ):
        await user.connected()
        await expect(page.locator("#approvals-count")).to_have_text("1")
        await page.get_by_role("button", name="Approvals 1").click()
        waiting = page.locator("#approvals-list li")
        await expect(waiting.locator("h3")).to_have_text("check_order_status")
        await expect(waiting.locator("pre")).to_contain_text("order_number")
        await assert_accessible_in_both(page)
        await keep(page, "console-approvals")
        await page.set_viewport_size({"width": 360, "height": 740})
        await assert_fits(page, 360)
        await waiting.get_by_role("button", name="Approve").click()
        await expect(waiting).to_have_count(0)

        async def is_answered() -> bool:
            received = (await pair.vendor.conversation("approval"))["received"]
            answers = [f["frame"] for f in received if "Response" in f["frame"]["type"]]
            return bool(answers) and "error" not in str(answers[0])

        await until(is_answered)
