"""client.js in Chromium against the gateway and the emulator: cuts, and five seconds offline."""

# ruff: noqa: E501 - lines of the scripts that run in the page
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.pages.cutter import Cutter
from tests.support import gateway as processes
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Page

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENTS: dict[str, Any] = {
    "counter": {
        "call_types": ["chat"],
        "initialize": {"additionalData": {"agent": "counter"}},
        "client_data_keys": ["count", "rate", "expect", "size", "marker"],
    },
    "echo": {"call_types": ["chat"], "initialize": {"additionalData": {"agent": "echo"}}},
}

COUNT = (Path(__file__).parent / "counting.js").read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    limits = {"frames_per_second": 100_000, "frame_burst": 100_000}
    async with processes.gateway(
        emulator.url, agents=AGENTS, allowed_origins="*", **limits
    ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, gateway: Gateway) -> AsyncIterator[Page]:
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{gateway.base}/console")
    yield page
    await context.close()


def assert_exact(got: dict[str, Any], count: int, expect: int) -> None:
    """Every frame of both directions, once and in order, as both ends tell."""
    assert got["code"] == 1000
    assert got["heard"] == list(range(1, count + 1))
    assert got["result"]["sent"] == count
    user = got["result"]["user"]
    assert (user["ok"], user["received"], user["highest"]) == (True, expect, expect)


async def test_cuts_at_random_bytes_lose_nothing_in_either_direction(
    page: Page, gateway: Gateway
) -> None:
    count, expect = 600, 150
    data = {"count": count, "rate": 150.0, "expect": expect, "size": 200}
    async with Cutter(gateway.port, seed=7, most=9000).serving() as cutter:
        given = {"url": f"ws://127.0.0.1:{cutter.port}/ws", "data": data, "quick": True}
        await page.evaluate(COUNT, given)
        got = await page.evaluate("() => counting")
    assert_exact(got, count, expect)
    assert cutter.cuts >= 20
    assert got["resumes"] >= 10


async def test_five_seconds_offline_in_the_middle_of_a_chat_lose_nothing(
    page: Page, gateway: Gateway
) -> None:
    count, expect = 200, 60
    data = {"count": count, "rate": 20.0, "expect": expect}
    await page.evaluate(COUNT, {"url": f"{gateway.ws}/ws", "data": data, "quick": False})
    await page.wait_for_function("() => seen.heard.length > 20")
    await page.context.set_offline(True)
    await page.wait_for_function("() => chat.state === 'resuming'")
    heard = await page.evaluate("() => seen.heard.length")
    await page.wait_for_timeout(5000)
    assert await page.evaluate("() => seen.heard.length") == heard
    await page.context.set_offline(False)
    got = await page.evaluate("() => counting")
    assert_exact(got, count, expect)
    assert got["resumes"] == 1
    assert [state for state in got["states"] if state != "resuming"] == ["live", "live", "ended"]


async def test_the_socket_that_was_given_up_does_not_disturb_its_heir(
    page: Page, emulator: Emulator
) -> None:
    await page.evaluate("""async () => {
        const { RelayClient } = await import('/client.js');
        window.chat = await RelayClient.connect({ agent: 'echo', callType: 'chat', turnGap: 0.1 });
        window.turns = [];
        chat.on('turn', ({ source, text }) => turns.push(`${source}: ${text}`));
        // The browser says that it is offline, and the old socket works on nevertheless.
        window.dispatchEvent(new Event('offline'));
        chat.send('in between');
        window.dispatchEvent(new Event('online'));
    }""")
    await page.wait_for_function("() => turns.length === 2")
    await page.evaluate("() => chat.send('after')")
    await page.wait_for_function("() => turns.length === 4")
    assert await page.evaluate("() => [turns, chat.state]") == [
        ["user: in between", "assistant: in between", "user: after", "assistant: after"],
        "live",
    ]
    assert await page.evaluate("async () => (await chat.hangUp()).code") == 1000
    await until(lambda: _terminated(emulator))


async def _terminated(emulator: Emulator) -> bool:
    return bool((await emulator.last())["state"] == "ended")


async def test_leaving_the_page_ends_the_agent_at_once(page: Page, emulator: Emulator) -> None:
    await page.evaluate("""async () => {
        const { RelayClient } = await import('/client.js');
        window.chat = await RelayClient.connect({ agent: 'echo', callType: 'chat' });
    }""")
    before = await until(lambda: _newest_live(emulator))
    await page.goto("about:blank")
    await until(lambda: _terminated(emulator), within=20)
    assert (await emulator.last())["id"] == before["id"]


async def _newest_live(emulator: Emulator) -> dict[str, Any] | None:
    found = await emulator.conversations()
    return found[-1] if found and found[-1]["state"] != "ended" else None


async def test_pages_that_leave_or_reload_hold_no_place(page: Page, emulator: Emulator) -> None:
    async with processes.gateway(
        emulator.url, agents=AGENTS, allowed_origins="*", max_sessions_per_subject=2
    ) as capped:
        for _ in range(8):
            await page.goto(f"{capped.base}/console")
            code = await page.evaluate("""() => import('/client.js')
                .then(({ RelayClient }) => RelayClient.connect({ agent: 'echo', callType: 'chat', attempts: 2 }))
                .then((chat) => { window.chat = chat; return 0; }, ({ code }) => code)""")
            assert code == 0
        await page.goto("about:blank")
        async with capped.api() as backend:

            async def none_left() -> bool:
                return bool((await backend.get("/v1/sessions")).json()["sessions"] == [])

            await until(none_left, within=20)


async def test_pings_of_the_client_are_answered_by_the_gateway(page: Page) -> None:
    got = await page.evaluate("""async () => {
        const { RelayClient } = await import('/client.js');
        const pongs = [];
        class Listening extends WebSocket {
            set onmessage(listener) {
                super.onmessage = listener && ((event) => {
                    const { name, data } = JSON.parse(event.data);
                    if (name === 'relay.pong') pongs.push(data.received);
                    listener(event);
                });
            }
        }
        const options = { agent: 'echo', callType: 'chat', heartbeat: 0.5, WebSocket: Listening };
        const chat = await RelayClient.connect(options);
        const errors = [];
        chat.on('error', (error) => errors.push(error.message));
        chat.send('one');
        while (pongs.length < 2) await new Promise((next) => setTimeout(next, 50));
        const { state } = chat;
        await chat.hangUp();
        return [pongs.at(-1), errors, state];
    }""")
    assert got == [2, [], "live"]


async def test_a_kept_chat_goes_on_after_a_reload(page: Page) -> None:
    load = """async () => {
        const { RelayClient } = await import('/client.js');
        window.chat = new RelayClient({ agent: 'echo', callType: 'chat', turnGap: 0.1, keep: true });
        await chat.open();
        return chat.session.sessionId;
    }"""
    first = await page.evaluate(load)
    await page.evaluate("() => chat.send('before the reload')")
    await page.wait_for_function("() => chat.turns.length === 2")
    await page.reload()
    assert await page.evaluate(load) == first
    await page.evaluate("() => chat.send('after it')")
    await page.wait_for_function("() => chat.turns.length === 4")
    texts = await page.evaluate("() => chat.turns.map(({ text }) => text)")
    assert texts == ["before the reload", "before the reload", "after it", "after it"]
    assert await page.evaluate("async () => (await chat.hangUp()).code") == 1000
