"""What every test may use: real processes, on free ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def emulator() -> AsyncIterator[processes.Emulator]:
    """A fresh emulator."""
    async with processes.emulator() as running:
        yield running


@pytest.fixture
async def gateway(emulator: processes.Emulator) -> AsyncIterator[processes.Gateway]:
    """A gateway with open authentication in front of a fresh emulator."""
    async with processes.gateway(emulator.url) as running:
        yield running
