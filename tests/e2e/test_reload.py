"""Agents and tenants change while the gateway runs: all of a change, or nothing of it."""

from __future__ import annotations

import json
from signal import SIGHUP
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.browser import browser
from tests.support.gateway import AGENTS, Gateway, emulator
from tests.support.plain import plain_client
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.gateway import Emulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD, NEW = "canary-shop-token-old", "canary-shop-token-new"
SECRET_KEY = "canary-other-api-key-of-an-agent"


class Configured:
    """A gateway whose agents and tenants come from files."""

    def __init__(self, vendor: Emulator, directory: Path) -> None:
        self.vendor = vendor
        self.agents, self.tenants = directory / "agents.json", directory / "tenants.yaml"
        self.write(["one", "two"], {"shop": {"service_tokens": [OLD], "agents": ["one"]}})
        self.gateway = Gateway(
            vendor.url, agents=None, agents_file=self.agents, tenants_file=self.tenants
        )

    def write(self, agents: list[str], tenants: dict[str, Any], **more: Any) -> None:
        """Write both files, each replaced as a whole."""
        profiles = {name: AGENTS["echo"] | more.get(name, {}) for name in agents}
        for path, content in ((self.agents, profiles), (self.tenants, tenants)):
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(content, indent=1))
            fresh.replace(path)

    async def reloads(self, outcome: str) -> float:
        return await self.gateway.metric(f'relay_config_reloads_total{{outcome="{outcome}"}}')

    async def reloaded(self, outcome: str, count: float) -> None:
        async def is_done() -> bool:
            return await self.reloads(outcome) >= count

        await until(is_done, within=60, every=0.1)

    async def status(self, token: str) -> int:
        """What a service token's bearer gets."""
        headers = {"authorization": f"Bearer {token}"}
        async with plain_client(self.gateway.base, headers=headers) as client:
            return (await client.get("/v1/sessions")).status_code

    async def enters(self, agent: str) -> int:
        """0, or the code by which an agent's door is closed."""
        base = self.gateway
        async with browser(f"{base.ws}/ws/{agent}?call_type=chat", origin=base.base) as user:
            frame = await user.read()
            if frame["type"] == "error":
                return int(frame["data"]["code"])
            await user.frame("event", "connection")
            assert await user.terminate() == 1000
            return 0


@pytest_asyncio.fixture(loop_scope="module")
async def configured(tmp_path: Path) -> AsyncIterator[Configured]:
    async with emulator() as vendor:
        it = Configured(vendor, tmp_path)
        await it.gateway.start()
        try:
            yield await _ready(it)
        finally:
            await it.gateway.stop()


async def _ready(it: Configured) -> Configured:
    await it.gateway.ready()
    return it


async def test_changed_files_are_taken_over_and_faulty_ones_are_not(
    configured: Configured,
) -> None:
    it, base = configured, configured.gateway
    assert [await it.enters(name) for name in ("one", "two", "three")] == [0, 0, 4404]
    assert (await it.status(OLD), await it.status(NEW)) == (200, 401)
    async with browser(f"{base.ws}/ws/two?call_type=chat", origin=base.base) as user:
        await user.connected()
        tenants = {"shop": {"service_tokens": [NEW], "agents": ["one", "three"]}}
        applied = await it.reloads("applied")
        it.write(["one", "three"], tenants, three={"blackbox_api_key": SECRET_KEY})
        await it.reloaded("applied", applied + 1)
        # Both files are written one after the other: the first may have been taken over alone.
        await until(lambda: _takes(it, NEW), within=60)
        assert await it.status(OLD) == 401
        assert [await it.enters(name) for name in ("one", "two")] == [0, 4404]
        await user.talks("with an agent that is no more")
        assert await user.terminate() == 1000
    told = base.lines("config_reloaded")
    assert sorted({k for line in told for k in line if k.startswith(("agents_", "tenants_"))}) == [
        "agents_added",
        "agents_removed",
        "tenants_changed",
    ]
    assert "shop.agents, shop.service_tokens" in [line.get("tenants_changed") for line in told]
    # A faulty file: nothing of it, nor of the other one, is taken over.
    applied, refused = await it.reloads("applied"), await it.reloads("refused")
    faulty = {"shop": {"service_tokens": [OLD], "agents": ["one"], "max_sessions": "many"}}
    it.write(["one", "four"], faulty)
    await it.reloaded("refused", refused + 1)
    assert [await it.enters(name) for name in ("one", "four")] == [0, 4404]
    assert (await it.status(OLD), await it.status(NEW)) == (401, 200)
    assert await it.reloads("applied") == applied
    faults = [line["fault"] for line in base.lines("config_reload_refused")]
    [fault] = [each for each in set(faults) if "max_sessions" in each]
    assert fault.startswith("RELAY_TENANTS: shop.max_sessions: ")
    assert fault.endswith("(line 9 of RELAY_TENANTS_FILE)")
    it.tenants.write_text("shop: [")
    await it.reloaded("refused", refused + 2)
    assert await it.status(NEW) == 200
    for secret in (OLD, NEW, SECRET_KEY):
        assert secret not in base.log


async def _takes(it: Configured, token: str) -> bool:
    return await it.status(token) == 200


async def test_a_signal_reloads_at_once_and_ends_nothing(configured: Configured) -> None:
    it, base = configured, configured.gateway
    async with browser(f"{base.ws}/ws/one?call_type=chat", origin=base.base) as user:
        await user.connected()
        base.signal(SIGHUP)
        await it.reloaded("unchanged", 1)
        it.write(["one", "two", "three"], {})
        base.signal(SIGHUP)
        await until(lambda: _opens(it, "three"), within=60)
        assert await it.status(OLD) == 401
        await user.talks("still here")
        assert await user.terminate() == 1000


async def _opens(it: Configured, agent: str) -> bool:
    return await it.enters(agent) == 0
