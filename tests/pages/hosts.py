"""Pages of other people that hold the widget: any markup, any policy, on the stub's origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

ELEMENT = '<blackbox-relay-chat id="chat" agent="echo"></blackbox-relay-chat>'
SCRIPT = '<script type="module" src="/widget.js"></script>'


async def visit(
    page: Page,
    gateway: StubGateway,
    body: str,
    *,
    head: str = "",
    policy: str | None = None,
    attributes: str = 'lang="en"',
) -> None:
    """Open a page with this markup; `policy` is its Content-Security-Policy."""
    gateway.host_page = (
        f"<!doctype html><html {attributes}><head><meta charset=utf-8><title>host</title>"
        f"{head}</head><body>{body}</body></html>"
    )
    gateway.host_policy = policy
    await page.goto(f"{gateway.url}/host")


async def host(page: Page, gateway: StubGateway, body: str = ELEMENT, **more: Any) -> None:
    """A page with the widget in it, once it is defined; the element is `chat` in the page."""
    await visit(page, gateway, body + SCRIPT, **more)
    await page.wait_for_function("() => customElements.get('blackbox-relay-chat')")
    await page.evaluate("() => { window.chat = document.getElementById('chat'); }")
