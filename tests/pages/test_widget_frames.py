"""<blackbox-relay-chat> in frames that have no address of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.pages.hosts import visit

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

FRAMES = {
    "srcdoc": "frame.srcdoc = html;",
    "blob": "frame.src = URL.createObjectURL(new Blob([html], { type: 'text/html' }));",
    "sandboxed": "frame.sandbox = 'allow-scripts'; frame.srcdoc = html;",
    "sandboxed blob": (
        "frame.sandbox = 'allow-scripts';"
        "frame.src = URL.createObjectURL(new Blob([html], { type: 'text/html' }));"
    ),
}


@pytest.mark.parametrize("kind", FRAMES)
async def test_it_talks_in_a_frame_without_an_address_of_its_own(
    page: Page, gateway: StubGateway, kind: str
) -> None:
    await visit(page, gateway, "")
    await page.evaluate(
        f"""([origin]) => {{
            const script = `<script type="module" src="${{origin}}/widget.js"></`;
            const html = `<!doctype html>${{script}}script>
                <blackbox-relay-chat keep agent="echo" url="${{origin}}/ws"></blackbox-relay-chat>`;
            const frame = document.createElement('iframe');
            frame.style.cssText = 'width: 600px; height: 600px';
            {FRAMES[kind]}
            document.body.append(frame);
        }}""",
        [gateway.url],
    )
    frame = page.frame_locator("iframe")
    await frame.get_by_role("button", name="Start a chat").click()
    await frame.get_by_label("Your message").fill("in a frame")
    await frame.get_by_role("button", name="Send").click()
    await expect(frame.locator(".assistant .bubble").last).to_contain_text("in a frame")
