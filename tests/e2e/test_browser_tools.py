"""Tools that a browser runs: its answer counts once, in time, and for its own tools alone."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from tests.e2e.answering import answers, calls
from tests.support.browser import Browser, browser

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")

URL = "/ws/counter"


async def at_the_browsers_tool(page: Browser, marker: str) -> str:
    await page.wish(marker=marker, toolTimeout=20, pieces=1)
    await page.connected()
    await page.say("1001")
    request = await page.frame("websocketToolRequest")
    call_id: str = request["content"]["id"]
    return call_id


def answer(call_id: str, result: Any) -> dict[str, Any]:
    return {"type": "websocketToolResponse", "content": {"id": call_id, "result": result}}


async def test_browsers_answer_counts_once(calm: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    async with browser(f"{calm.ws}/ws/support") as page:
        call_id = await at_the_browsers_tool(page, marker)
        for number in range(3):
            await page.send(answer(call_id, f"shown {number}"))
        assert await page.closed() == 1000
    assert not [frame for frame in page.frames if frame["type"] == "error"]
    assert [one for one in await answers(vendor, marker) if isinstance(one, str)] == ["shown 0"]


async def test_browser_cannot_answer_for_the_backends_tool(calm: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    async with browser(calm.ws + URL) as page:
        await page.wish(marker=marker, count=1, toolEvery=1, tool="nap", plain=True)
        await page.connected()
        conversation = (await vendor.conversation(marker))["id"]
        await page.send(answer(f"call_{conversation[:8]}_1", "forged"))
        assert (await page.frame("error"))["data"]["code"] == 4403
        assert await page.closed() == 1000
    given = await answers(vendor, marker)
    assert len(given) == 1
    assert "forged" not in given[0]


async def test_browser_that_does_not_answer_is_answered_for(
    calm: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    before = await calls(calm, "show_order", "timeout")
    async with browser(f"{calm.ws}/ws/support") as page:
        call_id = await at_the_browsers_tool(page, marker)
        while "could not show" not in (await page.frame("text"))["content"]["text"]:
            pass
        with suppress(ConnectionClosed):  # as late as that, the conversation may be over
            await page.send(answer(call_id, "too late"))
        assert await page.closed() == 1000
    given = await answers(vendor, marker)
    assert given[-1]["error"]["code"] == "timeout"
    assert "too late" not in given
    assert await calls(calm, "show_order", "timeout") == before + 1
