"""When client.js tries again: doubling, jittered, and as the gateway asks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.pages.stub import StubGateway

pytestmark = pytest.mark.asyncio(loop_scope="session")

# A WebSocket that never opens, and a clock that is turned by hand.
DEAF = """() => {
    window.dials = [];
    window.Deaf = class {
        constructor() {
            this.readyState = 3;
            dials.push(Date.now());
            setTimeout(() => this.onclose?.({ code: 1006 }), 0);
        }
        close() {}
    };
}"""


async def test_delays_double_from_one_second_to_thirty(page: Page) -> None:
    got = await page.evaluate("""() => [0, 1, 2, 3, 4, 5, 6, 20].map((n) => [
        backoff(n, { random: () => 0 }), backoff(n, { random: () => 1 }),
    ])""")
    assert got == [[0.5, 1], [1, 2], [2, 4], [4, 8], [8, 16], [15, 30], [15, 30], [15, 30]]


async def test_no_attempt_comes_before_the_gateway_wants_it(page: Page) -> None:
    got = await page.evaluate("""() => [0, 3, 10].map((n) => [
        backoff(n, { retryAfter: 20, random: () => 0 }),
        backoff(n, { retryAfter: 20, random: () => 1 }),
    ])""")
    assert [low for low, _ in got] == [20, 20, 20]
    assert [high for _, high in got] == [25, 25, 35]


async def test_a_thousand_clients_do_not_come_back_together(page: Page) -> None:
    delays = await page.evaluate("() => Array.from({ length: 1000 }, () => backoff(2))")
    assert 2 <= min(delays) < 2.2
    assert 3.8 < max(delays) <= 4
    tenths = {round(delay * 10) for delay in delays}
    assert len(tenths) >= 19


async def test_attempts_are_spaced_by_a_clock_and_then_given_up(page: Page) -> None:
    await page.clock.install()
    await page.evaluate(DEAF)
    await page.evaluate("""() => {
        window.failed = null;
        RelayClient.connect({ WebSocket: Deaf, attempts: 6, backoff: { random: () => 1 } })
            .catch((error) => { window.failed = { code: error.code, retry: error.retry }; });
    }""")
    await page.clock.run_for(200_000)
    dials = await page.evaluate("() => dials")
    gaps = [round((after - before) / 1000) for before, after in pairwise(dials)]
    assert gaps == [1, 2, 4, 8, 16]
    assert await page.evaluate("() => failed") == {"code": 1006, "retry": "resume"}


async def test_coming_online_cuts_the_wait_short(page: Page) -> None:
    await page.clock.install()
    await page.evaluate(DEAF)
    await page.evaluate(
        "() => { RelayClient.connect({ WebSocket: Deaf, attempts: 99 }).catch(() => {}); }"
    )
    await page.clock.run_for(60_000)
    before = len(await page.evaluate("() => dials"))
    await page.evaluate("() => window.dispatchEvent(new Event('online'))")
    await page.clock.run_for(250)
    assert len(await page.evaluate("() => dials")) == before + 1


async def test_an_attempt_that_hangs_is_given_up_in_time(page: Page) -> None:
    await page.clock.install()
    await page.evaluate("""() => {
        window.dials = [];
        window.Hanging = class {
            constructor() { this.readyState = 0; dials.push(this); }
            close() { this.closed = true; }
        };
        RelayClient.connect({ WebSocket: Hanging, attempts: 3, connectTimeout: 4 }).catch(() => {});
    }""")
    await page.clock.run_for(4_100)
    assert await page.evaluate("() => dials.map((one) => Boolean(one.closed))") == [True]
    await page.clock.run_for(1_100)
    assert await page.evaluate("() => dials.length") == 2


async def test_the_first_connection_is_tried_again_while_the_gateway_is_busy(
    page: Page, gateway: StubGateway
) -> None:
    gateway.refusals = [
        {"code": 4503, "message": "Busy.", "retry": "reconnect", "retryAfter": 0.2},
        {"code": 4429, "message": "Too many.", "retry": "reconnect", "retryAfter": 0.2},
    ]
    state = await page.evaluate("""async () => {
        let asked = 0;
        const credential = async () => `ticket${++asked}`;
        const backoff = { first: 0.1 };
        const chat = await RelayClient.connect({ agent: 'echo', credential, backoff });
        return chat.state;
    }""")
    assert state == "live"
    assert [dial["credential"] for dial in gateway.dials] == ["ticket1", "ticket2", "ticket3"]
