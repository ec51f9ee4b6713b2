"""The application in this process, by the native upgrade and without: no task is left."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from app.bootstrap.application import build
from app.server.http_protocol import make_protocol
from app.settings import load
from tests.e2e.counting import converse
from tests.support.browser import browser
from tests.support.gateway import AGENTS, KEY
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import Emulator

pytestmark = pytest.mark.asyncio(loop_scope="package")

CROWD = 20


class Server(uvicorn.Server):
    """A server that leaves this process's signals alone."""

    def capture_signals(self) -> Any:
        """Capture nothing."""
        return nullcontext()


@asynccontextmanager
async def serving(vendor: Emulator, *, upgrade: bool) -> AsyncIterator[str]:
    """Serve the application on a free port; give its base URL."""
    settings = load(
        {
            "RELAY_BLACKBOX_API_KEY": KEY,
            "RELAY_BLACKBOX_URL": vendor.url,
            "RELAY_AUTH": "open",
            "RELAY_AGENTS": json.dumps(AGENTS),
            "RELAY_TOOLS": "app.examples.support_tools,tests.e2e.shop",
            "RELAY_MAX_SESSIONS_PER_SUBJECT": "100",
            "RELAY_MAX_FRAME": "4096",
        }
    )
    built = build(settings)
    options: dict[str, Any] = {"http": "httptools", "ws": "websockets-sansio"}
    if upgrade:
        endpoint, limits = built.app.state.endpoint, built.browser_limits
        options = {"http": make_protocol(endpoint, limits, built.batcher), "ws": "none"}
    port = free_port()
    config = uvicorn.Config(
        built.app, "127.0.0.1", port, log_config=None, access_log=False, **options
    )
    server = Server(config)
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    try:
        yield f"ws://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "plain ASGI"])
async def test_conversations_with_tools_work_and_leave_no_task_and_no_descriptor(
    vendor: Emulator, upgrade: bool
) -> None:
    before = len(asyncio.all_tasks())
    async with serving(vendor, upgrade=upgrade) as base:
        await converse(f"{base}/ws/counter")
        tasks, files = len(asyncio.all_tasks()), descriptors()
        seat = asyncio.Barrier(CROWD)
        await asyncio.gather(*(converse(f"{base}/ws/counter", seat) for _ in range(CROWD)))
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        await until(lambda: descriptors() <= files)
    await until(lambda: len(asyncio.all_tasks()) <= before)


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "plain ASGI"])
async def test_refusals_tell_their_reason_before_the_close(vendor: Emulator, upgrade: bool) -> None:
    async with serving(vendor, upgrade=upgrade) as base:
        async with browser(f"{base}/ws/echo?call_type=chat") as page:
            await page.connected()
            await page.talks("plain ASGI too")
            for _ in range(3):
                await page.send({"type": "nonsense"})
            error, code = await page.refused()
            assert code == error["code"] == 4403
        async with browser(f"{base}/ws/echo?call_type=chat") as page:
            await page.connected()
            await page.say("x" * 5000)
            error, code = await page.refused()
            assert code == error["code"] == 1009
        origin = base.replace("ws", "http", 1)
        async with browser(f"{base}/ws/nobody", origin=origin) as page:
            error, code = await page.refused()
            assert code == error["code"] == 4404
