"""The vendor's info page: looked at now and then, shown as a fact, and it decides nothing."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from app.upstream.probe import ProbeResult, UpstreamProbe
from tests.support.gateway import Emulator, Gateway
from tests.support.gateway import gateway as start
from tests.support.listening import http_site
from tests.support.plain import plain_client
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

pytestmark = pytest.mark.asyncio(loop_scope="module")

INFO = "/api/v1/ws/info"
REACHABLE = "relay_upstream_reachable"


@asynccontextmanager
async def vendor(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """A vendor whose info page is of a test's making, for the time of a block."""
    application = web.Application()
    application.router.add_get(INFO, answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    async with http_site(runner) as port:
        yield f"ws://127.0.0.1:{port}"


@asynccontextmanager
async def probing(
    *bases: str, deadline: float = 5.0
) -> AsyncIterator[tuple[UpstreamProbe, list[bool]]]:
    """A probe that looks again at once, for the time of a block; and what it told the gauge."""
    told: list[bool] = []
    probe = UpstreamProbe(bases, plain_client(), 0.01, on_seen=told.append, deadline=deadline)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(probe.run())
        yield probe, told
        running.cancel()


async def seen(*bases: str, deadline: float = 5.0) -> ProbeResult:
    """What the first look says."""
    async with probing(*bases, deadline=deadline) as (probe, told):
        assert (probe.seen, probe.age) == (None, None)
        sight = await until(lambda: probe.seen)
        assert isinstance(sight, ProbeResult)
        assert told[0] is sight.reachable
        assert probe.age is not None
    return sight


async def test_emulator_s_page_is_understood(emulator: Emulator) -> None:
    sight = await seen(emulator.url)
    assert (sight.reachable, sight.status) == (True, "ok")


def saying(status: int = 200, body: bytes = b"", **headers: str) -> Any:
    """A page that answers so."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def hanging(_: web.Request) -> web.Response:
    await asyncio.sleep(600)
    return web.Response()


@pytest.mark.parametrize(
    ("said", "status"),
    [(b'"maintenance"', "maintenance"), (b'"<b>"', "unsaid"), (b"7", "unsaid")],
    ids=["word", "markup", "number"],
)
async def test_vendor_s_own_word_is_shown_if_it_is_one(said: bytes, status: str) -> None:
    async with vendor(saying(body=b'{"status": ' + said + b"}")) as base:
        sight = await seen(base)
    assert (sight.reachable, sight.status) == (True, status)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (saying(503), "http_503"),
        (saying(307, location="http://127.0.0.1:9/"), "http_307"),
        (saying(body=b"<html>"), "not_understood"),
        (saying(body=b"[]"), "not_understood"),
        (saying(body=b" " * 100_000), "not_understood"),
        (hanging, "timeout"),
    ],
    ids=["503", "redirect", "no_json", "no_object", "too_large", "hangs"],
)
async def test_what_stands_in_the_way_is_named(answer: Any, status: str) -> None:
    async with vendor(answer) as base:
        sight = await seen(base, deadline=0.5 if answer is hanging else 20)
    assert (sight.reachable, sight.status) == (False, status)


async def test_one_host_that_is_away_counts_for_all(emulator: Emulator) -> None:
    nobody = f"ws://127.0.0.1:{free_port()}"
    sight = await seen(emulator.url, nobody)
    assert (sight.reachable, sight.status) == (False, "unreachable")


async def test_never_two_looks_at_once() -> None:
    there = most = looks = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal there, most, looks
        there, looks = there + 1, looks + 1
        most = max(most, there)
        await asyncio.sleep(0.03)  # three times the interval
        there -= 1
        return web.json_response({"status": "ok"})

    async with vendor(answer) as base, probing(base, base):
        await until(lambda: looks >= 6)
    assert most == 1


async def readiness(gateway: Gateway) -> tuple[int, dict[str, Any]]:
    """What `/readyz` says."""
    async with plain_client(gateway.base) as client:
        answer = await client.get("/readyz")
    return answer.status_code, answer.json()


async def test_readyz_and_a_gauge_say_what_was_seen_and_no_replica_is_unready_for_it() -> None:
    vendor = Emulator()
    await vendor.start()
    await vendor.ready()
    async with start(vendor.url, upstream_probe_interval=0.2) as gateway:

        async def says(reachable: bool, status: str) -> bool:
            answered, told = await readiness(gateway)
            assert answered == 200
            upstream = told["upstream"]
            return upstream is not None and (upstream["reachable"], upstream["status"]) == (
                reachable,
                status,
            )

        await until(lambda: says(True, "ok"))
        assert await gateway.metric(REACHABLE) == 1
        assert (await readiness(gateway))[1]["upstream"]["checked"] >= 0
        await vendor.stop()
        await until(lambda: says(False, "unreachable"))
        assert await gateway.metric(REACHABLE) == 0
        again = Emulator(vendor.port)
        await again.start()
        try:
            await until(lambda: says(True, "ok"), within=60)
            # Only a change is worth a line.
            assert [line["status"] for line in gateway.lines("upstream_unreachable")] == [
                "unreachable"
            ]
            await until(lambda: len(gateway.lines("upstream_reachable", status="ok")) == 2)
        finally:
            await again.stop()


async def test_nobody_looks_unless_told_to(emulator: Emulator) -> None:
    async with start(emulator.url) as gateway:
        assert "upstream" not in (await readiness(gateway))[1]
        assert math.isnan(await gateway.metric(REACHABLE))
