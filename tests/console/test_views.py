"""Every view of the console on a phone, in both colour schemes, by keyboard and for each role."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect
from websockets.asyncio.client import connect

from tests.console.operators import ADMIN, VIEWER, signed_in
from tests.console.pages import at_the_console
from tests.pages.looks import assert_accessible_in_both, assert_fits, keep

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

    from tests.replicas.pair import ReplicaPair
    from tests.support.oidc import Provider

pytestmark = pytest.mark.asyncio(loop_scope="package")
PHONE = {"width": 360, "height": 740}


async def looks_well(page: Page, name: str) -> None:
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    await assert_accessible_in_both(page)
    await assert_fits(page, PHONE["width"])
    await keep(page, f"console-{name}-phone")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await keep(page, f"console-{name}")


async def test_a_sign_in_that_failed_is_explained_and_the_door_is_usable(
    pair: ReplicaPair, provider: Provider, browser: Browser
) -> None:
    base = pair.replicas[0].base
    page = await browser.new_page()
    for fault, text in (
        ("denied", "The sign-in was cancelled."),
        ("wrong_nonce", "The sign-in did not succeed."),
    ):
        provider.person, provider.fault = ADMIN, fault
        await page.goto(f"{base}/console")
        await expect(page.get_by_label("Service token")).to_be_hidden()
        await page.get_by_role("link", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text(text)
        assert page.url == f"{base}/console"
    await looks_well(page, "door")
    await page.close()


async def test_an_admin_reads_the_audit_log_and_signs_out(
    pair: ReplicaPair, provider: Provider, browser: Browser
) -> None:
    base = pair.replicas[0].base
    async with signed_in(base, provider, "operator"):
        pass
    await pair.none_left()
    ticket = (await pair.mint(additional_data={"agent": "echo"}))["ticket"]
    async with (
        connect(f"{pair.replicas[1].ws}/ws?ticket={ticket}"),
        at_the_console(browser, base, provider, ADMIN) as page,
    ):
        await expect(page.locator("#rows tr[data-id]")).to_have_count(1)
        await looks_well(page, "live")
        await page.get_by_role("button", name="Audit").focus()
        await page.keyboard.press("Enter")
        rows = page.locator("#audit-rows tr")
        await expect(rows.first).to_contain_text("console.sign_in")
        await page.get_by_label("Who").fill("operator-1")
        await page.get_by_label("Action").fill("console.sign_in")
        await page.keyboard.press("Enter")
        await expect(rows.filter(has_text="otto@example.com").first).to_be_visible()
        await expect(rows.filter(has_text="ada@example.com")).to_have_count(0)
        await looks_well(page, "audit")
        await page.get_by_role("button", name="Deliveries").click()
        await expect(page.locator("#deliveries-empty")).to_be_visible()
        await looks_well(page, "deliveries")
        async with page.expect_navigation():  # by way of the provider
            await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("link", name="Sign in")).to_be_visible()


async def test_a_viewer_sees_sessions_without_words_and_without_controls(
    pair: ReplicaPair, provider: Provider, browser: Browser
) -> None:
    base = pair.replicas[0].base
    data = {"agent": "counter", "rate": 20.0, "count": 1000}
    ticket = (await pair.mint(additional_data=data))["ticket"]
    async with (
        connect(f"{pair.replicas[1].ws}/ws?ticket={ticket}"),
        at_the_console(browser, base, provider, VIEWER) as page,
    ):
        await page.locator("#rows tr[data-id] button").first.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#timeline li").nth(5)).to_be_attached()
        assert await page.locator("#timeline pre").count() == 0
        for control in ("#end", "#claim", "#chat"):
            await expect(page.locator(control)).to_be_hidden()
        for view in ("Approvals", "Deliveries", "Audit"):
            await expect(page.get_by_role("button", name=view, exact=True)).to_be_hidden()
        await looks_well(page, "viewer")
        await page.get_by_role("button", name="Close").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#rows tr[data-id] button").first).to_be_focused()


async def test_a_session_that_is_revoked_ends_what_the_console_shows(
    pair: ReplicaPair, provider: Provider, browser: Browser
) -> None:
    base = pair.replicas[0].base
    person = {"sub": "leaver", "name": "Lea Leaver", "roles": ["operator"]}
    async with at_the_console(browser, base, provider, person) as page:
        body = {"credential_id": "console:leaver", "ttl": 60}
        assert (await pair.backend.post(f"{base}/v1/revocations", json=body)).status_code == 204
        await expect(page.get_by_role("alert")).to_have_text(
            "You are signed out. Please sign in again."
        )
        await expect(page.locator("#desk")).to_be_hidden()
