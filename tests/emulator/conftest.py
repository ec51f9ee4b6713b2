from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.emulator import Emulator, Options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    options = Options(initialize_timeout=0.3, close_timeout=1.0)
    async with Emulator(options) as running:
        yield running
