"""Browsers for end-to-end tests: one without a voice, one whose microphone plays a tone."""

from __future__ import annotations

import math
import struct
import wave
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.e2e.calls import AGENTS, SETUP
from tests.pages.browser import launched, voice_flags
from tests.support import gateway as processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Page

    from tests.support.gateway import Emulator, Gateway

MICROPHONE_TONE = 1000.0
RATE = 48_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium for one module's tests, which run on the module's loop."""
    async with launched() as browser:
        yield browser


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file with one second of a steady tone: the fake microphone plays it over and over."""
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    step = 2 * math.pi * MICROPHONE_TONE / RATE
    samples = (int(12_000 * math.sin(step * at)) for at in range(RATE))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def voice_browser(microphone: Path) -> AsyncIterator[Browser]:
    """Chromium with a fake microphone, for one module's tests."""
    async with launched(*voice_flags(microphone)) as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def voice_gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    """A gateway with agents that call, well and badly."""
    async with processes.gateway(emulator.url, agents=AGENTS, demo=True) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def voice_page(voice_browser: Browser, voice_gateway: Gateway) -> AsyncIterator[Page]:
    """A page that may use the microphone, with what it needs to call."""
    context = await voice_browser.new_context(permissions=["microphone"])
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(f"{voice_gateway.base}/console")
    await page.evaluate(SETUP)
    yield page
    await context.close()
    assert faults == []
