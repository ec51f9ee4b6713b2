"""Many conversations at once: every frame once and in order, and nothing is left of any."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.e2e.counting import EVERY, TEXTS, converse
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")

CROWD = 200


async def test_two_hundred_conversations_with_tools_lose_nothing_and_leave_nothing(
    calm: Gateway, vendor: Emulator
) -> None:
    async def nobody() -> bool:
        async with calm.api() as backend:
            return not (await backend.get("/v1/sessions")).json()["sessions"]

    await until(nobody)
    await converse(f"{calm.ws}/ws/counter")
    await until(nobody)
    descriptors = calm.descriptors
    sockets = (await vendor.counters())["sockets_open"]
    ok = await calm.metric('relay_tool_calls_total{outcome="ok",tool="order"}')
    seat = asyncio.Barrier(CROWD)
    reports = await asyncio.gather(*(converse(f"{calm.ws}/ws/counter", seat) for _ in range(CROWD)))
    assert len(reports) == CROWD
    assert (
        await calm.metric('relay_tool_calls_total{outcome="ok",tool="order"}')
        == ok + CROWD * TEXTS // EVERY
    )
    await until(nobody)
    await until(lambda: calm.descriptors <= descriptors)

    async def vendor_let_go() -> bool:
        return (await vendor.counters())["sockets_open"] <= sockets

    await until(vendor_let_go)

    async def gauges_are_zero() -> bool:
        sessions = await calm.metric('relay_sessions{agent="counter",call_type="chat"}')
        return sessions == await calm.metric("relay_outbox_bytes") == 0

    await until(gauges_are_zero)
