"""The wheel, installed beside a backend whose own package is called `app`."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.support.browser import browser
from tests.support.gateway import AGENTS, KEY, ROOT, clean_environment
from tests.support.plain import plain_client
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# It builds a wheel of its own.
pytestmark = [pytest.mark.source, pytest.mark.timeout(300)]
SHOP = {
    "app/__init__.py": "",
    "app/db.py": "from app.config import SHOP\nORDERS = {'1001': f'baked by {SHOP}'}\n",
    "app/config.py": "SHOP = 'the shop itself'\n",
    "app/cli/commands.py": "raise SystemExit('the shop has its own command line')\n",
    "app/main.py": "raise SystemExit('the shop has its own server')\n",
    "app/emulator.py": "raise SystemExit('the shop has its own emulator')\n",
    "app/tools.py": "from blackbox_relay import ToolContext, tool\n"
    "from app.db import ORDERS\n\n"
    "@tool\n"
    "def check_order_status(order_number: str, ctx: ToolContext) -> dict[str, str]:\n"
    '    """Look up an order."""\n'
    "    number = order_number.removeprefix('A-')\n"
    "    return {'status': ORDERS[number], 'caller': ctx.principal.subject}\n",
    "more/tools.py": "from blackbox_relay import tool\nimport app.db\n\n"
    "@tool\n"
    "async def count_orders() -> int:\n"
    '    """Count them."""\n'
    "    return len(app.db.ORDERS)\n",
    "test_tools.py": "from blackbox_relay import Principal, ToolContext\n"
    "from app.tools import check_order_status\n"
    "who = Principal('user-1', 'test')\n"
    "print(check_order_status('1001', ToolContext('s', 'a', 'chat', who)))\n",
}


class Backend:
    """A backend's folder, and the environment that it runs in."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder = folder
        self.python = python
        self.command = python.with_name("blackbox-relay")
        self.environment = clean_environment() | {"RELAY_BLACKBOX_API_KEY": KEY}
        self.environment |= {"RELAY_TOOLS": "./app/tools.py,more/tools.py"}

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the backend's folder."""
        return subprocess.run(
            arguments, cwd=self.folder, env=self.environment | variables,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self, *arguments: str, url: str, **variables: str) -> AsyncIterator[None]:
        """Run the console script until the end of the block; begins when the URL answers."""
        process = await asyncio.create_subprocess_exec(
            self.command, *arguments, cwd=self.folder, env=self.environment | variables,
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

        async def answers() -> bool:
            assert process.returncode is None, f"{arguments} ended by itself"
            async with plain_client(timeout=5) as client:
                try:
                    return (await client.get(url)).status_code == httpx.codes.OK
                except httpx.HTTPError:
                    return False

        try:
            await until(answers, within=60)
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            assert await asyncio.wait_for(process.wait(), 30) == 0


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """The shop, with the wheel in a fresh environment; what it depends on is this one's."""
    room = tmp_path_factory.mktemp("installed")
    python = room / "env" / "bin" / "python"
    done(sys.executable, "-m", "venv", "--without-pip", room / "env")
    (site,) = room.glob("env/lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    done(*pip, "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel(room))
    for name, text in SHOP.items():
        path = room / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Backend(room / "shop", python)


def wheel(room: Path) -> Path:
    """Build the wheel of this source, not compiled, which would take a minute."""
    source = room / "source"
    for name in ("app", "blackbox_relay"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", room)
    done(*build, *options, source, BLACKBOX_RELAY_COMPILE="no")
    (made,) = room.glob("*.whl")
    return made


def done(*command: str | Path, **variables: str) -> None:
    ended = subprocess.run(
        command, env=clean_environment() | variables,
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_wheel_says_that_it_is_typed(backend: Backend) -> None:
    (made,) = backend.folder.parent.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        assert {"app/py.typed", "blackbox_relay/py.typed"} <= set(archive.namelist())


def test_a_tool_is_called_from_the_shell(backend: Backend) -> None:
    arguments = ("tools", "call", "check_order_status", "--args", '{"order_number": "1001"}')
    called = backend.run(backend.command, *arguments)
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == {"status": "baked by the shop itself", "caller": "shell"}
    called = backend.run(backend.command, "tools", "call", "count_orders")
    assert json.loads(called.stdout) == 1


def test_tools_are_listed_with_their_files(backend: Backend) -> None:
    listed = backend.run(backend.command, "tools", "list").stdout
    assert re.search(r"check_order_status +\./app/tools\.py:check_order_status +Look up", listed)
    assert re.search(r"count_orders +more/tools\.py:count_orders +Count", listed)


def test_an_import_path_that_is_not_ours_is_told(backend: Backend) -> None:
    told = backend.run(backend.command, "tools", "list", RELAY_TOOLS="app.tools")
    assert told.returncode == 2
    assert "app is the gateway's own package" in told.stderr
    assert "./app/tools.py" in told.stderr


def test_tools_can_be_tested_where_app_is_the_backend_s_own(backend: Backend) -> None:
    tested = backend.run(backend.python, "test_tools.py")
    assert tested.returncode == 0, tested.stderr
    assert tested.stdout == "{'status': 'baked by the shop itself', 'caller': 'user-1'}\n"


async def test_an_agent_is_answered_by_the_backend_s_tool(backend: Backend) -> None:
    vendor, port = free_port(), free_port()
    base = f"http://127.0.0.1:{port}"
    variables = {
        "RELAY_BLACKBOX_URL": f"ws://127.0.0.1:{vendor}",
        "RELAY_HOST": "127.0.0.1",
        "RELAY_PORT": str(port),
        "RELAY_AUTH": "open",
        "RELAY_AGENTS": json.dumps(AGENTS),
        "RELAY_DRAIN_DELAY": "0",
        "RELAY_DRAIN_TIMEOUT": "1",
    }
    emulator = ("emulator", "--port", str(vendor), "--api-key", KEY, "--pace", "0")
    info = f"http://127.0.0.1:{vendor}/api/v1/ws/info"
    async with (
        backend.running(*emulator, url=info),
        backend.running("serve", url=f"{base}/readyz", **variables),
        browser(f"ws://127.0.0.1:{port}/ws/support?call_type=chat") as page,
    ):
        await page.connected()
        await page.say("Where is my order 1001?")
        while "baked by the shop itself" not in json.dumps(await page.read()):
            pass
        await page.terminate()
