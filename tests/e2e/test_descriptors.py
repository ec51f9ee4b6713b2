"""The process may open no more files: no live session is lost, and later ones are let in."""

from __future__ import annotations

import asyncio
import resource
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest_asyncio

from tests.support import gateway as processes
from tests.support.browser import browser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture
async def own_gateway() -> AsyncIterator[processes.Gateway]:
    async with processes.emulator() as vendor, processes.gateway(vendor.url) as running:
        yield running


async def test_live_sessions_outlast_descriptors_that_run_out(
    own_gateway: processes.Gateway,
) -> None:
    url = f"{own_gateway.ws}/ws/echo?call_type=chat"
    async with AsyncExitStack() as stack:
        pages = [await stack.enter_async_context(browser(url)) for _ in range(3)]
        for page in pages:
            await page.connected()
        soft, hard = resource.prlimit(own_gateway.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(
            own_gateway.pid, resource.RLIMIT_NOFILE, (own_gateway.descriptors + 1, hard)
        )
        attempts = [asyncio.create_task(_comes_in(url)) for _ in range(6)]
        for number in range(20):
            for page in pages:
                await page.talks(f"text {number}")
        await asyncio.wait(attempts, timeout=1, return_when=asyncio.FIRST_COMPLETED)
        assert not any(attempt.done() and attempt.result() for attempt in attempts)
        resource.prlimit(own_gateway.pid, resource.RLIMIT_NOFILE, (soft, hard))
        async with browser(url) as late:
            await late.connected()
            await late.talks("free again")
            assert await late.terminate() == 1000
        for page in pages:
            assert await page.terminate() == 1000
        await asyncio.gather(*attempts)


async def _comes_in(url: str) -> bool:
    """Whether a new session reaches the vendor and talks, before or after it had to wait."""
    try:
        async with browser(url, open_timeout=20) as page:
            await page.connected()
            await page.talks()
            return await page.terminate() == 1000
    except Exception:  # noqa: BLE001 - whatever it is told while nothing can be opened
        return False
