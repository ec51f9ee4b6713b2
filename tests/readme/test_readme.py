"""What the README says is what the code does: its samples run, its tables are the code's."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from app.cli.generated_docs import env_example, with_tables
from app.settings import load
from tests.support import gateway as processes
from tests.support.gateway import ROOT, SERVICE_TOKEN, clean_environment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def sample(name: str) -> str:
    """A sample's code, by the marker before it."""
    found = re.search(rf"<!-- sample: {name} -->\n```[a-z]+\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no sample {name!r}"
    return found[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ticketed(
    emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway that lets tickets in, with the README's own tool."""
    folder = tmp_path_factory.mktemp("backend")
    (folder / "readme_tools.py").write_text(sample("tool"))
    running = processes.Gateway(
        emulator.url, auth="ticket", demo=True, tools="app.examples.support_tools,readme_tools"
    )
    running.environment["PYTHONPATH"] = str(folder)
    await running.start()
    try:
        yield await running.ready()
    finally:
        await running.stop()


async def test_tables_are_the_code_s_own() -> None:
    assert with_tables(README) == README, "run python -m app.cli.generated_docs"


async def test_env_example_is_the_code_s_own() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example()


async def test_ticket_sample_lets_somebody_in(ticketed: Gateway) -> None:
    names: dict[str, Any] = {}
    exec(compile(sample("ticket"), "README.md", "exec"), names)  # noqa: S102 - our own README
    ticket = await asyncio.to_thread(names["ticket_for"], "user-7", ticketed.base, SERVICE_TOKEN)
    async with asyncio.timeout(60), connect(f"{ticketed.ws}/ws?ticket={ticket}") as ws:
        first = json.loads(await ws.recv())
    assert (first["name"], first["data"]["agent"]) == ("relay.session", "support")


async def test_frontend_sample_is_the_one_that_a_browser_runs() -> None:
    # tests/e2e/test_frontend_sample.py runs this very file in Chromium.
    file = ROOT / "tests" / "pages" / "sample" / "frontend.js"
    assert sample("frontend") == file.read_text(encoding="utf-8")


async def test_tool_sample_is_registered_and_answers(ticketed: Gateway) -> None:
    call = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "tools", "call", "refund_order"),
        *("--args", '{"order_number": "1001"}'),
        env=ticketed.environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await call.communicate()
    assert call.returncode == 0
    assert json.loads(said) == {"refunded": "1001", "for": None}


async def test_production_sample_is_a_valid_configuration(tmp_path: Path) -> None:
    given = dict(line.split("=", 1) for line in sample("production").strip().splitlines())
    for name in [name for name in given if name.endswith("_FILE")]:
        secret = tmp_path / name
        secret.write_text("a-secret-of-some-length")
        given[name] = str(secret)
    settings = load(given)
    assert settings.state_url.get_secret_value().startswith("redis://")
    assert set(settings.agent_settings) == {"support"}


async def test_every_route_that_the_readme_names_is_served(ticketed: Gateway) -> None:
    named = set(re.findall(r"`(?:GET|POST|DELETE) (/v1/[a-z]+)", README))
    async with ticketed.api() as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        for page in (
            "/client.js",
            "/client.d.ts",
            "/widget.js",
            "/demo",
            "/console",
            "/asyncapi.json",
            "/healthz",
            "/readyz",
            "/metrics",
        ):
            assert (await client.get(page)).status_code == httpx.codes.OK, page
    assert named <= set(paths)


async def test_every_command_that_the_readme_names_exists() -> None:
    asked = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "--help"),
        env=clean_environment(),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await asked.communicate()
    for command in set(re.findall(r"`?blackbox-relay ([a-z]+)", README)):
        assert f"    {command} " in said.decode(), command
