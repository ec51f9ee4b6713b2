"""What the vendor does wrong: the browser is told by code, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.browser import Browser, browser
from tests.support.gateway import KEY
from tests.support.plain import plain_client
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")

CONSTANT = {4502: "The agent could not be reached.", 4504: "The agent did not answer in time."}


@asynccontextmanager
async def neighbour(gateway: Gateway) -> AsyncIterator[Browser]:
    """Another session of the same gateway: it talks before, and after, in the same process."""
    pid = gateway.pid
    async with browser(f"{gateway.ws}/ws/echo?call_type=chat") as page:
        session = await page.connected()
        await page.talks("before")
        yield page
        await page.talks("after")
        assert await page.terminate() == 1000
        assert not [frame for frame in page.frames if frame["type"] == "error"]
    await until(lambda: gateway.lines("session_ended", session=session, code=1000))
    assert gateway.pid == pid
    assert gateway.process is not None
    assert gateway.process.returncode is None


async def told(page: Browser, code: int) -> None:
    """Hold the one answer of a failed conversation: our text, the code, when to come again."""
    error, closed = await page.refused()
    assert closed == error["code"] == code
    assert error["message"] == CONSTANT[code]
    assert error["retry"] == "reconnect"
    assert page.reason in {"upstream_failed", "upstream_timeout"}


@pytest.mark.parametrize(
    ("fault", "code", "kind"),
    [
        ("refuse", 4502, "refused"),
        ("redirect", 4502, "redirected"),
        ("rst_on_dial", 4502, "bad_handshake"),
        ("hang", 4504, "timeout"),
    ],
)
async def test_failed_dial_is_told_and_counted(
    hasty: Gateway, vendor: Emulator, fault: str, code: int, kind: str
) -> None:
    metric = f'relay_upstream_failures_total{{kind="{kind}"}}'
    async with neighbour(hasty):
        before, lines = await hasty.metric(metric), len(hasty.lines("dial_failed"))
        await vendor.order(fault)
        async with browser(f"{hasty.ws}/ws/echo?call_type=chat") as page:
            session = await page.started()
            await told(page, code)
        assert await hasty.metric(metric) == before + 1
        await until(lambda: hasty.lines("session_ended", session=session, code=code))
        assert len(hasty.lines("dial_failed")) == lines + 1
        assert hasty.lines("dial_failed")[-1]["kind"] == kind
    assert "redirects_followed" not in await vendor.counters()


@pytest.mark.parametrize("fault", ["not_enabled", "origin_not_allowed"])
async def test_refusal_by_the_vendors_error_frame_is_told_in_our_words(
    hasty: Gateway, vendor: Emulator, fault: str
) -> None:
    async with neighbour(hasty):
        await vendor.order(fault)
        async with browser(f"{hasty.ws}/ws/echo?call_type=chat") as page:
            session = await page.started()
            await told(page, 4502)
        await until(lambda: hasty.lines("session_ended", session=session, code=4502))
        assert len(hasty.lines("upstream_refused", session=session)) == 1


@pytest.mark.parametrize(
    ("fault", "code", "line"),
    [
        ("rst", 4502, "upstream_lost"),
        ("drop", 4502, "upstream_lost"),
        ("close", 4502, "upstream_lost"),
        ("oversize", 4502, "upstream_lost"),
        ("bad_utf8", 4502, "upstream_lost"),
        ("endless_fragments", 4502, "upstream_lost"),
        ("ping_flood", 4502, "upstream_lost"),
        ("odd_json", 4502, "malformed_upstream"),
        ("no_pong", 4502, "upstream_lost"),
        ("freeze", 4502, "upstream_lost"),
    ],
)
async def test_fault_in_mid_conversation_ends_it_alone(
    hasty: Gateway, vendor: Emulator, fault: str, code: int, line: str
) -> None:
    marker = uuid4().hex
    async with neighbour(hasty):
        async with browser(f"{hasty.ws}/ws/echo") as page:
            began = time.monotonic()
            await page.wish(
                marker=marker, fault=fault, faultSeconds=20, faultCount=3000, faultBytes=2 << 20
            )
            session = await page.connected()
            await told(page, code)
            # A ping after 2 s, its time-out of 2 s, and a busy machine's time.
            assert time.monotonic() - began < 2 + 2 + 10
        await until(lambda: hasty.lines("session_ended", session=session, code=code))
        assert hasty.lines(line, session=session)
        metric = 'relay_sessions_total{agent="echo",call_type="chat",close_code="4502"}'
        assert await hasty.metric(metric) > 0
    assert (await vendor.conversation(marker))["fault"] == fault


async def test_vendor_that_never_says_a_word_times_out(hasty: Gateway, vendor: Emulator) -> None:
    async with neighbour(hasty):
        await vendor.order("accept_silent")
        async with browser(f"{hasty.ws}/ws/echo?call_type=chat") as page:
            await told(page, 4504)


async def test_vendor_that_falls_silent_is_idle_and_told_to_end(
    hasty: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    async with neighbour(hasty) as other:
        async with browser(f"{hasty.ws}/ws/echo") as page:
            await page.wish(marker=marker, fault="stall")
            await page.connected()
            reading = asyncio.create_task(page.refused())
            while not reading.done():
                await other.talks("I am not idle")
                await asyncio.wait({reading}, timeout=1)
            error, code = await reading
        assert code == error["code"] == 4408
    assert (await vendor.conversation(marker, ended=True))["terminated"]


async def test_key_in_the_vendors_words_is_not_shown(hasty: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    withheld = await hasty.metric('relay_upstream_oddities_total{kind="secret_withheld"}')
    async with neighbour(hasty), browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(marker=marker, fault="close_with_key")
        await page.connected()
        await told(page, 4502)
        assert KEY not in "".join(page.raw)
        shown = [frame for frame in page.frames if frame["type"] == "error"]
        assert shown[0]["data"]["message"] == "The agent reported an error."
    metric = 'relay_upstream_oddities_total{kind="secret_withheld"}'
    assert await hasty.metric(metric) == withheld + 1
    assert (await vendor.conversation(marker))["closeSent"] == 1008


@pytest.mark.parametrize("fault", ["malformed_json", "binary", "fragments"])
async def test_conversation_goes_on_after_what_can_be_dropped(
    hasty: Gateway, vendor: Emulator, fault: str
) -> None:
    marker = uuid4().hex
    metric = 'relay_upstream_oddities_total{kind="malformed_upstream"}'
    before = await hasty.metric(metric)
    async with neighbour(hasty), browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(marker=marker, fault=fault)
        session = await page.connected()
        await page.talks("still here, in 🧩 pieces?")
        assert await page.terminate() == 1000
    dropped = 0 if fault == "fragments" else 1
    assert await hasty.metric(metric) == before + dropped
    assert len(hasty.lines("malformed_upstream", session=session)) == dropped
    assert (await vendor.conversation(marker))["violations"] == []


async def test_lost_socket_after_the_announced_end_is_normal(hasty: Gateway) -> None:
    async with neighbour(hasty), browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(fault="drop_after_closed")
        session = await page.connected()
        await page.say("bye")
        assert await page.closed() == 1000
        assert not [frame for frame in page.frames if frame["type"] == "error"]
    assert not hasty.lines("upstream_lost", session=session)


async def test_flood_reaches_a_reader_whole_and_in_order(hasty: Gateway) -> None:
    count = 3000
    async with neighbour(hasty), browser(f"{hasty.ws}/ws/echo") as page:
        await page.wish(fault="flood", faultCount=count, pieces=1)
        await page.connected()
        numbers = [(await page.frame("text"))["content"]["number"] for _ in range(count)]
        assert numbers == list(range(count))
        await page.talks()
        assert await page.terminate() == 1000


async def test_flood_at_a_browser_that_does_not_read_ends_with_4508(hasty: Gateway) -> None:
    before = await hasty.metric('relay_refusals_total{reason="too_slow"}')
    async with neighbour(hasty):
        resident = hasty.resident
        async with browser(f"{hasty.ws}/ws/echo", max_queue=1) as page:
            await page.wish(fault="flood")
            session = await page.connected()
            await until(lambda: hasty.lines("refused", session=session, reason="too_slow"))
            error, code = await page.refused()
        assert code == error["code"] == 4508
        assert error["retry"] == "resume"
        # The bound is a megabyte; the allocator's own slack is counted here too.
        assert hasty.resident - resident < 8 << 20
    assert await hasty.metric('relay_refusals_total{reason="too_slow"}') == before + 1


async def test_slow_vendor_slows_the_browser_down_within_bounds(hasty: Gateway) -> None:
    async with neighbour(hasty):
        resident = hasty.resident
        async with browser(f"{hasty.ws}/ws/echo") as page:
            await page.wish(fault="slow_reader", faultBytes=64)
            await page.connected()
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(1):
                    for _ in range(58):
                        await page.say("x" * 4000)
        assert hasty.resident - resident < 8 << 20


async def test_readiness_tells_operators_that_the_vendor_refuses_the_key(
    hasty: Gateway, vendor: Emulator
) -> None:
    await vendor.order("refuse", count=None, status=401)
    dials = (await vendor.counters())["dials"]
    codes = []
    for _ in range(5):
        async with browser(f"{hasty.ws}/ws/echo?call_type=chat") as page:
            codes.append((await page.refused())[1])
    assert codes == [4502] * 5
    answer = await readiness(hasty)
    assert answer.status_code == 503
    assert answer.json()["reason"] == "upstream_circuit_open"
    async with browser(f"{hasty.ws}/ws/echo?call_type=chat", origin=hasty.base) as page:
        error, code = await page.refused()
    assert code == error["code"] == 4502
    assert error["retryAfter"] > 0
    assert (await vendor.counters())["dials"] == dials + 5
    last = hasty.lines("dial_failed")[-1]
    assert (last["status"], last["advice"]) == (401, "check RELAY_BLACKBOX_API_KEY")
    await vendor.behave()

    async def ready() -> bool:
        return (await readiness(hasty)).status_code == 200

    await until(ready)
    async with neighbour(hasty):
        pass


async def readiness(gateway: Gateway) -> httpx.Response:
    async with plain_client() as client:
        return await client.get(f"{gateway.base}/readyz")


async def test_nothing_is_left_of_all_these_faults(hasty: Gateway) -> None:
    async def settled() -> bool:
        answer = (await readiness(hasty)).json()
        return bool(answer["sessions"] == 0)

    await until(settled)
    async with hasty.api() as backend:
        assert (await backend.get("/v1/sessions")).json()["sessions"] == []
    log = [line for line in hasty.log.splitlines() if "Traceback" in line or "crashed" in line]
    assert log == []
    assert json.loads(hasty.log.splitlines()[-1])
