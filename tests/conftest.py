"""What every test may use: real processes, on free ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def emulator() -> AsyncIterator[processes.Emulator]:
    """An emulator for one module's tests, which run on the module's loop."""
    async with processes.emulator() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: processes.Emulator) -> AsyncIterator[processes.Gateway]:
    """A gateway with open authentication in front of a fresh emulator."""
    async with processes.gateway(emulator.url) as running:
        yield running
