"""A gateway's process on networks with dead addresses, and behind a proxy."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.network.hosts import SILENT, proxying, silence
from tests.support.browser import browser
from tests.support.doctor import run_doctor
from tests.support.gateway import KEY, Gateway, emulator
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "canary-proxy-password"
# The process's resolver: names that end so have a first address that swallows everything.
RESOLVER = f"""
import uvloop

known = uvloop.Loop.getaddrinfo


async def getaddrinfo(self, host, port, **more):
    if not str(host).endswith(".example"):
        return await known(self, host, port, **more)
    dead = await known(self, {SILENT!r}, port, **more)
    return dead + await known(self, "127.0.0.1", port, **more)


uvloop.Loop.getaddrinfo = getaddrinfo
"""


def gateway(vendor: str, environment: dict[str, str], **variables: str) -> Gateway:
    made = Gateway(vendor, allow_insecure_upstream="true", allow_open="true", **variables)
    made.environment |= environment
    return made


async def doctor(environment: dict[str, str], vendor: str) -> str:
    given = {
        "RELAY_BLACKBOX_API_KEY": KEY,
        "RELAY_BLACKBOX_URL": vendor,
        "RELAY_ALLOW_INSECURE_UPSTREAM": "true",
    }
    _, said = await run_doctor(environment=given | environment, secrets=(PASSWORD,), within=60)
    return said


async def test_dead_first_addresses_of_the_vendor_and_of_redis_cost_no_session(
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(RESOLVER)
    (tmp_path / "redis").mkdir()
    environment = {"PYTHONPATH": str(tmp_path)}
    with RedisServer(tmp_path / "redis") as redis:
        async with emulator() as vendor:
            with silence(vendor.port), silence(redis.port):
                running = gateway(
                    f"ws://vendor.example:{vendor.port}",
                    environment,
                    state_url=f"redis://store.example:{redis.port}/0",
                    auth="ticket",
                    connect_timeout="5",
                )
                await running.start()
                try:
                    await running.ready()
                    ticket = await running.ticket()
                    begun = time.monotonic()
                    url = f"{running.ws}/ws/echo?call_type=chat&ticket={ticket}"
                    async with browser(url, origin=running.base) as page:
                        await page.connected()
                        await page.talks()
                        await page.terminate()
                    assert time.monotonic() - begun < 5
                    assert not running.lines("dial_failed")
                finally:
                    await running.stop()


async def test_the_vendor_is_reached_through_the_proxy_of_the_environment() -> None:
    async with (
        emulator() as vendor,
        proxying(vendor_example=("127.0.0.1", vendor.port)) as proxy,
    ):
        named = proxy.url.replace("//", f"//user:{PASSWORD}@")
        environment = {
            "HTTPS_PROXY": named,
            "HTTP_PROXY": named,
            "NO_PROXY": "localhost,127.0.0.1",
        }
        running = gateway("ws://vendor.example", environment)
        running.secrets["proxy password"] = PASSWORD
        await running.start()
        try:
            await running.ready()
            async with browser(f"{running.ws}/ws/echo?call_type=chat") as page:
                await page.connected()
                await page.talks()
                await page.terminate()
        finally:
            await running.stop()
        assert proxy.asked == ["CONNECT vendor.example:80 HTTP/1.1"]
        assert all(proxy.authorized)
        said = await doctor(environment, "ws://vendor.example")
        assert f"proxy: 127.0.0.1:{proxy.port}, as HTTPS_PROXY says" in said
        assert "vendor's socket: open after" in said
        assert "GET http://vendor.example/api/v1/ws/info HTTP/1.1" in proxy.asked


async def test_a_dial_that_fails_says_what_the_proxy_has_to_do_with_it() -> None:
    async with proxying(b"HTTP/1.1 407 Authenticate\r\nContent-Length: 0\r\n\r\n") as proxy:
        environment = {"HTTPS_PROXY": proxy.url, "NO_PROXY": "excepted.invalid"}
        agents = {
            "by": {},
            "excepted": {"blackbox_url": "wss://excepted.invalid"},
        }
        running = gateway("wss://vendor.invalid", environment, agents=agents)  # type: ignore[arg-type]
        await running.start()
        try:
            await running.ready()
            for agent in agents:
                url = f"{running.ws}/ws/{agent}?call_type=chat"
                async with browser(url, origin=running.base) as page:
                    error, _ = await page.refused()
                    assert error["code"] == 4502
            await until(lambda: len(running.lines("dial_failed")) == 2)
            by, excepted = running.lines("dial_failed")
        finally:
            await running.stop()
    assert (by["kind"], by["status"]) == ("proxy", 407)
    assert by["advice"].startswith("HTTPS_PROXY needs user and password")
    assert excepted["kind"] == "unreachable"
    assert "NO_PROXY excepts this host" in excepted["advice"]
    said = await doctor({**environment, "RELAY_PROXY": "none"}, "wss://vendor.invalid")
    assert "HTTPS_PROXY is set, and not used because of RELAY_PROXY=none" in said
