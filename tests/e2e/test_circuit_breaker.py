"""An agent whom the vendor refuses does not refuse the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.browser import browser
from tests.support.gateway import AGENTS, emulator, gateway
from tests.support.plain import plain_client
from tests.support.ports import free_port

if TYPE_CHECKING:
    from tests.support.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def readyz(running: Gateway) -> tuple[int, dict[str, object]]:
    async with plain_client() as client:
        answer = await client.get(f"{running.base}/readyz")
    return answer.status_code, answer.json()


async def refused(running: Gateway, agent: str) -> dict[str, object]:
    url = f"{running.ws}/ws/{agent}?call_type=chat"
    async with browser(url, origin=running.base) as page:
        error, code = await page.refused()
    assert code == error["code"] == 4502
    found: dict[str, object] = error
    return found


async def test_agent_whose_vendor_is_away_is_not_dialled_and_the_others_are() -> None:
    nowhere = f"ws://127.0.0.1:{free_port()}"
    agents = {"echo": AGENTS["echo"], "late": AGENTS["echo"] | {"blackbox_url": nowhere}}
    async with (
        emulator() as vendor,
        gateway(vendor.url, agents=agents, allowed_origins="*") as running,
    ):
        for _ in range(5):
            await refused(running, "late")
        assert (await refused(running, "late"))["retryAfter"]
        status, told = await readyz(running)
        assert (status, told["open_circuits"]) == (200, ["late"])
        async with browser(f"{running.ws}/ws/echo?call_type=chat") as page:
            await page.connected()
            await page.talks()
            assert await page.terminate() == 1000
        await vendor.order("refuse", count=None, status=401)
        for _ in range(5):
            await refused(running, "echo")
        for _ in range(5):  # the first one's circuit may have closed meanwhile
            await refused(running, "late")
        status, told = await readyz(running)
        assert (status, told["reason"]) == (503, "upstream_circuit_open")
        assert told["open_circuits"] == ["echo", "late"]


async def test_vendor_that_refuses_in_words_opens_the_circuit() -> None:
    """It takes the handshake, says what is wrong, and closes in the same packet."""
    agents = {"support": AGENTS["support"]}
    async with (
        emulator() as vendor,
        gateway(
            vendor.url, agents=agents, allowed_origins="*", blackbox_api_key="not-the-vendors"
        ) as running,
    ):
        for _ in range(5):
            await refused(running, "support")
        status, told = await readyz(running)
        assert (status, told["open_circuits"]) == (503, ["support"])
