"""What a page must look like to people, as far as a machine can tell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.pages import npm

if TYPE_CHECKING:
    from playwright.async_api import Page


async def assert_accessible(page: Page) -> None:
    """No violation of any of axe-core's rules, in the page and in the widget's shadow."""
    source = ((await npm.install()) / "axe-core" / "axe.min.js").read_text()
    # By the driver and not by a script element: the page's policy stays as strict as it is.
    await page.evaluate(f"{source}; undefined")
    # Half faded in, a colour is none of the page's: what moves comes to rest first.
    await page.evaluate(
        "() => Promise.allSettled([document, ...[...document.querySelectorAll('*')]"
        ".map((one) => one.shadowRoot).filter(Boolean)].flatMap((root) => root.getAnimations())"
        ".filter((a) => a.effect.getTiming().iterations !== Infinity).map((a) => a.finished))"
    )
    found: list[dict[str, Any]] = await page.evaluate(
        "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
    )
    assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []


async def assert_accessible_in_both(page: Page) -> None:
    """As above, in the light and in the dark colours."""
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await assert_accessible(page)


CUT_OFF = """() => {
    const isCut = (one) => {
        if (one.scrollWidth > one.clientWidth + 1) return true; // its text stands out of it
        const { left, right } = one.getBoundingClientRect();
        for (let box = one.parentElement; box; box = box.parentElement) {
            const edge = box.getBoundingClientRect();
            const clips = getComputedStyle(box).overflowX === 'hidden';
            if (clips && (left < edge.left - 1 || right > edge.right + 1)) return true;
        }
        return false;
    };
    const all = [...document.querySelectorAll('button, .pill')];
    return all.filter((one) => one.checkVisibility() && isCut(one)).map((one) => one.textContent);
}"""


async def assert_fits(page: Page, width: int) -> None:
    """Nothing makes the page scroll sideways, and no button is cut off."""
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert await page.evaluate(CUT_OFF) == []


async def keep(page: Page, name: str) -> None:
    """A screenshot for people, where one is asked for by the variable SCREENSHOTS."""
    if folder := os.environ.get("SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
