"""A client that speaks the vendor's dialect alone, on an upstream of either kind."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.e2e.refusals import ORIGIN
from tests.support.browser import browser

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize(("agent", "endpoint"), [("webcall", "webCall"), ("default", "dev")])
async def test_client_in_the_vendors_dialect_works_on_either_upstream(
    calm: Gateway, vendor: Emulator, agent: str, endpoint: str
) -> None:
    marker = uuid4().hex
    ticket = await calm.ticket("dialect", agent=agent, additional_data={"marker": marker})
    async with browser(f"{calm.ws}/api/v1/ws/webCall?agent={agent}&token={ticket}") as page:
        timestamp = "2026-01-01T00:00:00Z"
        wish = {"callType": "chat", "additionalData": {"secret": "not allowed"}}
        await page.send({"type": "initialize", "timestamp": timestamp, "request": wish})
        await page.connected()
        said = {"type": "incomingChatMessage", "timestamp": timestamp, "content": "hello"}
        await page.send(said)
        while (await page.frame("text"))["content"]["source"] != "assistant":
            pass
        await page.send({"type": "terminate", "timestamp": timestamp})
        await page.frame("conversationResult")
        assert await page.closed() == 1000
    assert page.frames[0]["data"]["resume"] is None
    conversation = await vendor.conversation(marker, ended=True)
    assert conversation["endpoint"] == endpoint
    assert conversation["violations"] == []
    opening = conversation["received"][0]["frame"]
    field = {"webCall": "request", "dev": "devRequest"}[endpoint]
    assert opening[field]["additionalData"] == {"agent": "echo", "marker": marker}
    assert ("request" in opening) != ("devRequest" in opening)


async def test_origins_of_the_vendors_path_are_judged_too(strict: Gateway) -> None:
    with pytest.raises(Exception, match="HTTP 403"):
        async with browser(f"{strict.ws}/api/v1/ws/webCall?token=x", origin="https://evil.example"):
            pass
    async with browser(f"{strict.ws}/api/v1/ws/webCall?token=x", origin=ORIGIN) as page:
        assert (await page.refused())[1] == 4401
