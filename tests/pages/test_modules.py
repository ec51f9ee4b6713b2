"""The browser modules as a whole: small, without circles, and found by a browser in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.pages.module_graph import circle, module_graph
from tests.pages.stub import PAGES, StubGateway

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Browser

MODULES = sorted(PAGES.rglob("*.js"))
MOST_LINES = 300
# What a page names in a script element or an import, and the folders of which it is the one entry.
ENTRIES = {
    "client.js": ["client"],
    "widget.js": ["client", "widget"],
    "console/console.js": ["console"],
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PAGES)))
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = module_graph(*MODULES)
    assert set(graph) == set(MODULES)
    assert circle(graph) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    lines = {
        "a.js": "import { b } from './deep/b.js';",
        "deep/b.js": "export {\n  c,\n} from '../c.js';",
        "c.js": "/** import './d.js' */\nimport './a.js';",
    }
    (tmp_path / "deep").mkdir()
    for name, text in lines.items():
        (tmp_path / name).write_text(text)
    assert [path.name for path in circle(module_graph(tmp_path / "a.js"))] == [
        "a.js",
        "b.js",
        "c.js",
    ]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_reaches_all_modules_and_names_each(entry: str) -> None:
    path = PAGES / entry
    graph = module_graph(path)
    of_folders = {one for folder in ENTRIES[entry] for one in (PAGES / folder).glob("*.js")}
    assert of_folders <= set(graph)
    # What the entry does not name, a browser learns of a round trip later.
    assert set(graph) - graph[path] - {path} == set()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", ["demo", "console"])
async def test_a_page_learns_of_all_its_modules_in_three_steps(
    browser: Browser, gateway: StubGateway, name: str
) -> None:
    """The page itself, its scripts, and their imports: by what made Chromium ask for each."""
    context = await browser.new_context()
    page = await context.new_page()
    asked: dict[str, str | None] = {}
    devtools = await context.new_cdp_session(page)
    await devtools.send("Network.enable")

    def note(told: dict[str, Any]) -> None:
        asked.setdefault(told["request"]["url"], told["initiator"].get("url"))

    devtools.on("Network.requestWillBeSent", note)
    await page.goto(f"{gateway.url}/{name}", wait_until="load")
    await context.close()

    def steps(url: str) -> int:
        by = asked[url]
        return 1 if by is None else 1 + steps(by)

    modules = [url for url in asked if url.endswith(".js")]
    assert len(modules) >= len(list((PAGES / "console").glob("*.js")))
    assert max(map(steps, modules)) == 3
