"""<blackbox-relay-chat> asks before a tool runs: by mouse, by keyboard, for screen readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.pages.hosts import ELEMENT, host
from tests.pages.looks import assert_accessible
from tests.pages.test_client_approvals import ask, settle
from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway
    from tests.pages.stub_agents import Conversation

pytestmark = pytest.mark.asyncio(loop_scope="session")

STYLE = "<style>#chat { height: 100% }</style>"
BOX = f'<main style="width: 400px; height: 560px"><h1>Shop</h1>{ELEMENT}</main>{STYLE}'


async def talk(page: Page, gateway: StubGateway) -> Conversation:
    await host(page, gateway, BOX)
    await page.evaluate("() => { chat.options = { turnGap: 0.05 }; return chat.start('chat'); }")
    await expect(page.locator(".bubble")).to_have_count(1)
    return gateway.conversations[-1]


async def test_the_card_shows_the_exact_arguments_and_is_answered_by_a_button(
    page: Page, gateway: StubGateway
) -> None:
    agent = await talk(page, gateway)
    await ask(agent)
    card = page.get_by_role("group", name="refund_order")
    await expect(card).to_be_visible()
    assert await card.locator("dt").all_inner_texts() == ["order_number", "amount"]
    assert await card.locator("dd").all_inner_texts() == ["1001", "25"]
    await expect(page.locator("#spoken")).to_contain_text("refund_order")
    await assert_accessible(page)
    await card.get_by_role("button", name="Approve").click()
    await until(lambda: agent.approvals)
    assert agent.approvals[0]["approve"] is True
    await expect(card.get_by_role("button", name="Decline")).to_be_disabled()
    await settle(agent, approved=True)
    await expect(card).to_contain_text("Approved")
    await expect(card.get_by_role("button")).to_have_count(0)
    await assert_accessible(page)


async def test_a_keyboard_declines_and_goes_on_in_the_message(
    page: Page, gateway: StubGateway
) -> None:
    agent = await talk(page, gateway)
    await ask(agent)
    decline = page.get_by_role("button", name="Decline")
    await decline.focus()
    await page.keyboard.press("Enter")
    await until(lambda: agent.approvals)
    assert agent.approvals[0]["approve"] is False
    await expect(page.get_by_label("Your message")).to_be_focused()


async def test_one_that_is_decided_elsewhere_is_no_question_any_more(
    page: Page, gateway: StubGateway
) -> None:
    agent = await talk(page, gateway)
    await ask(agent)
    await expect(page.get_by_role("button", name="Approve")).to_be_visible()
    await settle(agent, approved=False)
    await expect(page.get_by_role("group", name="refund_order")).to_contain_text("Not approved")
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert agent.approvals == []
