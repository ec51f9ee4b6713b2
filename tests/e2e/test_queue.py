"""Waiting for one of the vendor's places, on one replica."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.support.browser import Browser, browser
from tests.support.gateway import Emulator, Gateway, emulator
from tests.support.plain import plain_client
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CHAT = "/ws?call_type=chat"


@asynccontextmanager
async def running(**variables: Any) -> AsyncIterator[tuple[Gateway, Emulator]]:
    async with emulator() as vendor:
        gateway = Gateway(vendor.url, **variables)
        await gateway.start()
        try:
            yield await gateway.ready(), vendor
        finally:
            await gateway.stop()


async def queued(page: Browser) -> dict[str, Any]:
    told: dict[str, Any] = (await page.frame("event", "relay.queued"))["data"]
    return told


async def position(page: Browser, wanted: int) -> None:
    """Read until the browser is told this position."""
    while (await queued(page))["position"] != wanted:
        pass


async def set_concurrency(vendor: Emulator, **values: Any) -> None:
    async with plain_client() as client:
        url = f"http://127.0.0.1:{vendor.port}/emulator/concurrency"
        assert (await client.post(url, json=values)).status_code == 200


async def test_place_passes_on_in_order_and_one_that_leaves_makes_room() -> None:
    async with running(upstream_concurrency=1, queue=2) as (gateway, vendor):
        url = gateway.ws + CHAT
        async with (
            browser(url, native=True) as first,
            browser(url) as second,
            browser(url, native=True) as third,
        ):
            await first.connected()
            started = await second.frame("event", "relay.session")
            assert started["data"]["queued"] is True
            await position(second, 1)
            await third.say("before my turn")
            await position(third, 2)
            async with browser(url, origin=gateway.base) as fourth:
                error, code = await fourth.refused()
            assert code == 4503
            assert error["retryAfter"] > 0
            async with gateway.api() as backend:
                listed = (await backend.get("/v1/sessions")).json()
                assert listed["queue"] == {"waiting": 2, "held": 1, "limit": 1}
                assert sorted(s["phase"] for s in listed["sessions"])[1:] == ["queued", "queued"]
                assert (await backend.get("/readyz")).status_code == 200
            assert await gateway.metric("relay_queue_waiting") == 2
            await second.socket.close()
            await position(third, 1)
            await first.terminate()
            await third.frame("event", "connection")
            assert (await third.frame("text"))["content"]["text"]
        counters = await vendor.counters()
        assert counters["peak_conversations"] == 1
        assert await gateway.metric("relay_queue_wait_seconds_count") == 1


async def test_lost_line_lets_others_pass_and_keeps_its_position() -> None:
    async with running(upstream_concurrency=1, queue=5) as (gateway, _):
        url = gateway.ws + CHAT
        async with browser(url, native=True) as first, browser(url, native=True) as second:
            await first.connected()
            token = (await second.frame("event", "relay.session"))["data"]["resume"]["token"]
            await queued(second)
            async with browser(url, native=True) as third:
                await position(third, 2)
                second.socket.transport.abort()
                await position(third, 1)
                resume = f"{gateway.ws}/ws?resume={quote(token)}&received=0"
                async with browser(resume, native=True) as back:
                    await position(back, 1)
                    await position(third, 2)
                    await first.terminate()
                    await back.frame("event", "connection")
                    await back.terminate()
                await third.frame("event", "connection")


async def test_call_of_a_backend_waits_like_a_browser() -> None:
    async with (
        running(upstream_concurrency=1, queue=5, idle_timeout=4, ping_timeout=4) as (
            gateway,
            vendor,
        ),
        browser(gateway.ws + CHAT, native=True) as first,
        gateway.api() as backend,
    ):
        await first.connected()
        body = {"endpoint": "+15551234567", "agent": "phone"}
        answer = await backend.post("/v1/calls", json=body)
        assert answer.status_code == 201
        session = answer.json()["session_id"]
        await until(lambda: phase(backend, session, "queued"))
        # Waiting is no silence: it outlasts the time after which an idle session ends.
        assert await first.closed() == 4408
        await until(lambda: vendor_has(vendor, "onPhone"))


async def phase(backend: Any, session: str, wanted: str) -> bool:
    answer = await backend.get(f"/v1/sessions/{session}")
    return bool(answer.status_code == 200 and answer.json()["phase"] == wanted)


async def vendor_has(vendor: Emulator, call_type: str) -> bool:
    return any(c["callType"] == call_type for c in await vendor.conversations())


async def test_auto_leaves_room_for_the_accounts_other_clients() -> None:
    async with running(upstream_concurrency="auto", queue=5) as (gateway, vendor):
        await set_concurrency(vendor, limit=3, elsewhere=2)

        async def places() -> float:
            return await gateway.metric("relay_upstream_places")

        await until(lambda: is_value(places(), 1), within=30)
        url = gateway.ws + CHAT
        async with browser(url, native=True) as first, browser(url, native=True) as second:
            await first.connected()
            await position(second, 1)
            await set_concurrency(vendor, limit=3, elsewhere=0)
            await second.frame("event", "connection")
        assert "over_the_limit" not in await vendor.counters()


async def is_value(found: Any, wanted: float) -> bool:
    value: float = await found
    return value == wanted


async def test_draining_replica_hands_the_position_to_another(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        bound = {"upstream_concurrency": 1, "queue": 5, "state_url": redis.url}
        async with running(**bound) as (stays, vendor):
            goes = Gateway(vendor.url, **bound)
            await goes.start()
            await goes.ready()
            async with browser(stays.ws + CHAT, native=True) as first:
                await first.connected()
                async with browser(goes.ws + CHAT, native=True) as second:
                    turn = (await queued(second))["turn"]
                    async with browser(stays.ws + CHAT, native=True) as third:
                        await queued(third)
                        stopping = asyncio.create_task(goes.stop())
                        error, code = await second.refused()
                        assert (code, error["retry"]) == (1001, "reconnect")
                        await position(third, 1)
                        again = f"{stays.ws}{CHAT}&turn={quote(turn)}"
                        async with browser(again, native=True) as back:
                            await position(back, 1)
                            await first.terminate()
                            await back.frame("event", "connection")
                        await stopping
