"""Every route, page, metric and command that others rely on is there, in a running process."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests.contract import names
from tests.support.browser import browser
from tests.support.gateway import ROOT, Gateway, clean_environment
from tests.support.gateway import gateway as start
from tests.support.plain import plain_client
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import Emulator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(
    emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway on which everything is on, and backends have a port of their own."""
    history = tmp_path_factory.mktemp("history") / "history.db"
    async with start(
        emulator.url,
        auth="open,ticket",
        demo=True,
        internal_port=free_port(),
        history_url=f"sqlite+aiosqlite:///{history}",
    ) as running:
        yield running


async def routes(base: str) -> set[tuple[str, str]]:
    """Methods and paths that a port describes; what a parameter is called is nobody's business."""
    async with plain_client(base) as client:
        paths: dict[str, Any] = (await client.get("/openapi.json")).json()["paths"]
    return {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path))
        for path, methods in paths.items()
        for method in methods
    }


async def test_every_route_is_described_on_its_port(whole: Gateway) -> None:
    public, internal = await routes(whole.base), await routes(whole.internal)
    assert public >= names.PUBLIC
    assert internal >= names.INTERNAL
    assert not public & names.INTERNAL


async def test_every_route_is_served_and_backends_alone_are_let_in(whole: Gateway) -> None:
    """An unknown path answers 404 and a wrong method 405: neither may be the answer here."""
    async with plain_client(whole.base) as public, plain_client(whole.internal) as stranger:
        for method, path in names.PUBLIC:
            assert (await public.request(method, path)).status_code == 200, path
        assert (await stranger.get("/metrics")).status_code == 200
        for method, path in names.INTERNAL - {("GET", "/metrics")}:
            answer = await stranger.request(method, path.replace("{}", "0" * 32))
            assert answer.status_code == 401, (method, path)
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert (await public.request(method, path)).status_code == 404, path


@pytest.mark.parametrize("page", names.PAGES)
async def test_page_is_served(whole: Gateway, page: str) -> None:
    async with plain_client(whole.base) as client:
        answer = await client.get(page)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(names.PAGES[page])


@pytest.mark.parametrize("path", names.SOCKETS)
async def test_socket_is_opened_at_its_path(whole: Gateway, path: str) -> None:
    url = f"{whole.ws}{path.replace('{agent}', 'echo')}?call_type=chat"
    async with browser(url) as page:
        await page.wish()
        await page.connected()
        await page.talks()
        assert await page.terminate() == 1000


async def test_everything_is_on_one_port_where_no_other_is_named(emulator: Emulator) -> None:
    async with start(emulator.url) as running:
        assert await routes(running.base) >= names.PUBLIC | names.INTERNAL


async def work(gateway: Gateway) -> None:
    """A conversation with a tool, a refused frame, a browser that goes on talking."""
    async with browser(f"{gateway.ws}/ws/support?call_type=chat") as page:
        await page.connected()
        await page.send({"type": "nonsense"})
        await page.say("Where is my order 1001?")
        await page.frame("websocketToolRequest")
        await page.terminate()


def samples(text: str) -> dict[str, list[set[str]]]:
    """The label names of every sample, by the name of its metric as operators write it."""
    found: dict[str, list[set[str]]] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = [
            set(sample.labels) - {"le"}
            for sample in family.samples
            if not sample.name.endswith("_created")
        ]
    return found


async def test_every_metric_has_samples_with_its_labels_after_some_work(whole: Gateway) -> None:
    await work(whole)
    async with browser(f"{whole.ws}/ws/echo?call_type=chat") as page, whole.api() as client:
        await page.connected()

        async def shown() -> dict[str, list[set[str]]] | None:
            found = samples((await client.get("/metrics")).text)
            return found if found["relay_sessions_total"] and found["relay_sessions"] else None

        found = await until(shown)
    for name, labels in names.METRICS.items():
        assert found.get(name), f"{name} has no sample"
        assert all(labels == shown for shown in found[name]), name
    assert set(found) >= names.BORN_LATER
    ours = {name for name in found if not name.startswith(("process_", "python_"))}
    assert all(name.startswith("relay_") for name in ours)


async def test_every_command_has_its_help() -> None:
    asked = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "--help"),
        env=clean_environment(),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asked.communicate()
    offered = set(re.findall(r"^    (\w+)  ", said.decode(), re.MULTILINE))
    assert offered >= names.COMMANDS
