"""Debian's Chromium, driven by Playwright: how it is found, started and given a voice.

The headless shell is preferred where it is installed: it is the same engine without the windows,
tabs and extensions of a desktop browser, and opens a page with a third of the CPU time. Playwright
takes it too when nothing else is asked for.
"""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import async_playwright, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser

# Machines are busy: what is expected may take its time, and is still waited for.
expect.set_options(timeout=60_000)

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def voice_flags(microphone: Path) -> tuple[str, ...]:
    """A microphone that plays a WAV file, and candidates on loopback: there may be no network."""
    return (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
        "--allow-loopback-in-peer-connection",
        "--autoplay-policy=no-user-gesture-required",
    )


def chromium() -> str:
    """Where Debian's Chromium is; without one these tests fail, and say what to install."""
    for name in ("chromium-headless-shell", "chromium", "chromium-browser"):
        if found := shutil.which(name):
            return found
    pytest.fail("No chromium here: install Debian's package chromium.")


@contextlib.asynccontextmanager
async def launched(*more: str) -> AsyncIterator[Browser]:
    """A browser for the time of a block."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium(), args=[*FLAGS, *more])
        try:
            yield browser
        finally:
            await browser.close()
