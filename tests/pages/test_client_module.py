"""client.js as a file: its size, its types, and its table of close codes."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import pytest

from app.protocol.close_codes import CLOSE_REASONS
from tests.pages import npm
from tests.pages.stub import PAGES

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

FETCHED = re.compile(r"""(?:src|href|from|import|url)\s*[=(]?\s*["']?(?:https?:)?//[^\s"')]+""")


async def test_the_client_and_all_its_modules_are_at_most_36_kib_gzipped() -> None:
    modules = [PAGES / "client.js", *(PAGES / "client").glob("*.js")]
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in modules) <= 36 * 1024


async def test_the_client_can_be_imported_where_there_is_no_document() -> None:
    script = (
        f"const client = await import('{(PAGES / 'client.js').as_uri()}');"
        "const chat = new client.RelayClient({ url: 'ws://localhost/ws' });"
        "const bare = new client.RelayClient();"
        "console.log(Object.keys(client).sort().join(), chat.state, bare.state);"
    )
    status, written = await npm.run("node", "--input-type=module", "--eval", script)
    assert status == 0, written
    assert written.split("\n")[-2] == (
        "CLOSE_CODES,CallProblem,PROTOCOL,RelayClient,RelayError,ToolError,backoff"
        " connecting connecting"
    )


async def test_the_types_pass_the_strict_compiler_on_a_sample_page() -> None:
    modules = await npm.install()
    status, written = await npm.run(
        str(modules / ".bin" / "tsc"), "-p", str(npm.HERE / "sample" / "tsconfig.json")
    )
    assert (status, written) == (0, "")


async def test_the_types_name_every_export_of_the_module(page: Page) -> None:
    exported = await page.evaluate("async () => Object.keys(await import('/client.js'))")
    declared = re.findall(
        r"^export (?:class|function|const) (\w+)", (PAGES / "client.d.ts").read_text(), re.MULTILINE
    )
    assert sorted(exported) == sorted(declared)


async def test_the_types_name_every_public_member_of_the_client(page: Page) -> None:
    members = await page.evaluate("""() => {
        const own = Object.getOwnPropertyNames(RelayClient.prototype);
        const fields = Object.keys(new RelayClient({ url: 'ws://localhost/ws' }));
        return [...own, ...fields].filter((name) => name !== 'constructor');
    }""")
    declared = (PAGES / "client.d.ts").read_text().split("export class RelayClient")[1]
    assert [
        one for one in members if not re.search(rf"^  (readonly )?{one}\b", declared, re.MULTILINE)
    ] == []


async def test_the_close_codes_are_those_of_the_gateway(page: Page) -> None:
    table = await page.evaluate("() => CLOSE_CODES")
    for reason in CLOSE_REASONS:
        known = table.pop(str(reason.code))
        assert known == {"name": reason.name, "message": reason.message, "retry": reason.retry}
    assert table == {
        "1006": {
            "name": "connection_lost",
            "message": "The connection was lost.",
            "retry": "resume",
        }
    }


@pytest.mark.parametrize(
    "name",
    sorted(
        str(one.relative_to(PAGES))
        for one in PAGES.rglob("*.*")
        if one.is_file() and one.suffix != ".pyc"
    ),
)
async def test_no_page_fetches_anything_from_elsewhere(name: str) -> None:
    text = (PAGES / name).read_text()
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("*"))
    assert FETCHED.findall(code.replace("http://www.w3.org/2000/svg", "")) == []


@pytest.mark.parametrize("name", ["demo.html", "console.html"])
async def test_no_page_holds_inline_script_or_style(name: str) -> None:
    text = (PAGES / name).read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text)
