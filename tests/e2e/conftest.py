"""What end-to-end tests share: three gateways before one emulator, and two kinds of browser.

`calm` has the defaults and every kind of tool, `hasty` gives up on anything soon, `strict` asks
who comes, counts them, and keeps backends on a port of their own. When one is over its log is
searched for the secrets that it knew. One browser has no voice, the other's microphone plays a
tone.
"""

from __future__ import annotations

import math
import struct
import wave
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.e2e.calls import AGENTS, SETUP
from tests.pages.browser import launched, voice_flags
from tests.support import gateway as processes
from tests.support import outside as applications
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from playwright.async_api import Browser, Page

    from tests.support.gateway import Emulator, Gateway

TOKEN = "canary+web/integration=token"
JWT_SECRET = "canary-jwt-secret-of-sixty-four-bytes-and-more-for-all-the-hashes-of-hmac"
READER = "canary+token/that=reads"
MICROPHONE_TONE = 1000.0
RATE = 48_000


def agents(**more: dict[str, Any]) -> dict[str, Any]:
    """The usual agents, and some of a test's own."""
    return processes.AGENTS | more


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def vendor() -> AsyncIterator[processes.Emulator]:
    """The package's emulator."""
    async with processes.emulator("--token", TOKEN) as running:
        running.secrets["web integration token"] = TOKEN
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def outside() -> AsyncIterator[applications.Outside]:
    """The applications around the gateways."""
    async with applications.outside() as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def calm(
    vendor: processes.Emulator, outside: applications.Outside
) -> AsyncIterator[processes.Gateway]:
    """Open to everybody, with every kind of tool, and an agent on the vendor's other endpoint."""
    web_call = processes.AGENTS["default"] | {"upstream": "webcall", "web_integration_token": TOKEN}
    async with processes.gateway(
        vendor.url,
        auth="ticket,open",
        agents=agents(webcall=web_call),
        tools="app.examples.support_tools,tests.e2e.shop",
        http_tools=outside.tools(),
        webhook_allowed_hosts="127.0.0.1/32",
        tool_timeout=2,
        tool_concurrency=8,
        service_tokens=f"{processes.SERVICE_TOKEN},{READER}",
        content_tokens=READER,
    ) as running:
        running.secrets["web integration token"] = TOKEN
        running.secrets["webhook secret"] = applications.WEBHOOK_SECRET
        running.secrets["reader's token"] = READER
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def hasty(vendor: processes.Emulator) -> AsyncIterator[processes.Gateway]:
    """Open to everybody, and impatient with everybody."""
    async with processes.gateway(
        vendor.url,
        initialize_timeout=2,
        connect_timeout=2,
        ping_interval=2,
        ping_timeout=2,
        idle_timeout=6,
        handshake_timeout=2,
        resume_window=1,
        max_frame=4096,
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def strict(
    vendor: processes.Emulator, outside: applications.Outside
) -> AsyncIterator[processes.Gateway]:
    """Only for those it knows, and only so many of them."""
    async with processes.gateway(
        vendor.url,
        auth="jwt,ticket,forward",
        jwt_secret=JWT_SECRET,
        jwt_jwks_url=f"{outside.base}/keys",
        jwt_issuer="https://app.example.com",
        forward_auth_url=f"{outside.base}/forward",
        allowed_origins="https://app.example.com,https://*.example.org",
        trusted_proxies="127.0.0.1/32",
        internal_port=free_port(),
        webhook_allowed_hosts="127.0.0.1/32",
        max_sessions=6,
        max_sessions_per_subject=2,
        max_sessions_per_ip=4,
        resume_window=1,
        demo="true",
    ) as running:
        running.secrets["cookie"] = applications.COOKIE
        yield running


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
