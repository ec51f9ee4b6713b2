from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.emulator import Emulator, Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator(Options()) as running:
        yield running
