"""Browsers wait for the vendor's places, over two replicas, one of which dies."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import Browser, browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

PLACES, BROWSERS = 3, 50
AGENT = {"default": {"initialize": {"additionalData": {"agent": "echo", "plain": True}}}}


class Waiter:
    """A browser that waits for its turn, says a word once it may, and goes."""

    def __init__(self, number: int, replica: int) -> None:
        self.number = number
        self.replica = replica
        self.positions: list[int] = []
        self.entered = asyncio.Event()
        self.served = False
        self.lost = False

    async def run(self, it: ReplicaPair, order: list[Waiter], may_talk: asyncio.Event) -> None:
        url = f"{it.replicas[self.replica].ws}/ws?call_type=chat"
        try:
            async with await until(lambda: opened(url), within=60) as page:
                await self._wait(page)
                order.append(self)
                await may_talk.wait()
                await page.talks()
                await page.terminate()
        except ConnectionClosed:
            self.lost = True
        finally:
            self.entered.set()

    async def _wait(self, page: Browser) -> None:
        while not self.served:
            told = await page.read()
            if told.get("name") == "relay.queued":
                assert 1 <= told["data"]["position"] <= told["data"]["of"]
                self.positions.append(told["data"]["position"])
                self.entered.set()
            elif told.get("name") == "connection":
                self.served = True
                self.entered.set()


async def opened(url: str) -> Any:
    """A browser that has come in; None where a busy machine's store was too late to answer."""
    context = browser(url, native=True)
    try:
        page = await context.__aenter__()
    except InvalidStatus as refused:
        if refused.response.status_code != 503:
            raise
        return None
    return Closing(page, context)


class Closing:
    """An open browser for the time of a block."""

    def __init__(self, page: Browser, context: Any) -> None:
        self.page = page
        self.context = context

    async def __aenter__(self) -> Browser:
        return self.page

    async def __aexit__(self, *error: object) -> None:
        await self.context.__aexit__(*error)


def check_order(order: list[Waiter], waiters: list[Waiter]) -> None:
    """Whoever was served came before all others, but those who held the other places."""
    served: set[int] = set()
    for waiter in order:
        served.add(waiter.number)
        earlier = [w for w in waiters[: waiter.number] if w.served and w.number not in served]
        assert len(earlier) < PLACES, (waiter.number, [w.number for w in earlier])


async def test_bound_and_order_hold_although_a_replica_is_killed(tmp_path: Path) -> None:
    order: list[Waiter] = []
    may_talk = asyncio.Event()
    places: dict[str, Any] = {"upstream_concurrency": PLACES, "queue": BROWSERS}
    async with (
        replica_pair(tmp_path, auth="open", agents=AGENT, **places) as it,
        asyncio.TaskGroup() as tasks,
    ):
        await it.backend.post(
            f"http://127.0.0.1:{it.vendor.port}/emulator/concurrency", json={"limit": PLACES}
        )
        waiters = [Waiter(number, number % 2) for number in range(BROWSERS)]
        for waiter in waiters:
            tasks.create_task(waiter.run(it, order, may_talk))
            await waiter.entered.wait()
        assert [w.number for w in order] == list(range(PLACES))
        assert [w.positions[0] for w in waiters[PLACES:]] == list(range(1, BROWSERS - PLACES + 1))
        may_talk.set()
        await until(lambda: len(order) >= BROWSERS // 3)
        it.replicas[1].signal(signal.SIGKILL)
        await until(lambda: all(w.served or w.lost for w in waiters), within=60, every=0.05)
        counters = await it.vendor.counters()
    assert counters["peak_conversations"] == PLACES
    assert "over_the_limit" not in counters
    assert all(waiter.served for waiter in waiters if waiter.replica == 0)
    check_order(order, waiters)
