"""A site written for the vendor runs on the gateway by its base URL alone, and sees the same.

The site is a backend that mints tokens, a page with a stand-in of the vendor's widget, and a page
by the vendor's guides. Each visit is made twice: with the gateway as the server, and with the
emulator itself. Key and integration are the same, and so is what the page sees, frame by frame.
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.e2e.conftest import MICROPHONE_TONE
from tests.e2e.vendor_site.backend import backend
from tests.e2e.vendor_site.observed import comparable
from tests.e2e.vendor_site.visits import (
    Deployments,
    Site,
    guide_call,
    guide_chat,
    open_widget,
    widget_call,
    widget_chat,
)
from tests.support import gateway as processes
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx
    from playwright.async_api import Browser

    from tests.e2e.vendor_site.observed import Visit
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

# An integration behind each of the vendor's endpoints: the site does not know the difference.
ON_DEV, ON_WEB_CALL, CHAT_ONLY = "wi-dev", "wi-web-call", "wi-chat-only"
AGENT = {
    "call_types": ["chat", "webCall"],
    "tools": [],
    "browser_tools": ["check_order_status", "show_order"],
    "hide": [],
    "client_data_keys": ["marker"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor() -> AsyncIterator[Emulator]:
    """The emulator that sites reach without a gateway; its key is the gateway's service token."""
    running = processes.Emulator()
    running.give_key(processes.SERVICE_TOKEN)
    await running.start()
    try:
        yield await running.ready()
    finally:
        await running.stop()


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """The ports of the sites behind the gateway, whose origins it must know."""
    return {integration: free_port() for integration in (ON_DEV, ON_WEB_CALL, CHAT_ONLY)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(emulator: Emulator, ports: dict[str, int]) -> AsyncIterator[Gateway]:
    async with processes.gateway(
        emulator.url,
        agents={
            "desk": AGENT | {"web_integration_id": ON_DEV},
            "linked": AGENT | {"web_integration_id": ON_WEB_CALL, "upstream": "webcall"},
            "writing": AGENT | {"web_integration_id": CHAT_ONLY, "call_types": ["chat"]},
        },
        auth="ticket",
        tools=None,
        allowed_origins=",".join(f"http://127.0.0.1:{port}" for port in ports.values()),
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployed(
    voice_browser: Browser,
    emulator: Emulator,
    vendor: Emulator,
    gateway: Gateway,
    ports: dict[str, int],
) -> AsyncIterator[dict[str, Deployments]]:
    """The site of each integration, once on the vendor and once on the gateway."""
    vendor_url, key = f"http://127.0.0.1:{vendor.port}", processes.SERVICE_TOKEN
    async with AsyncExitStack() as stack:
        found = {}
        for integration, port in ports.items():
            direct, through = [
                await stack.enter_async_context(backend(url, key, integration, at))
                for url, at in ((vendor_url, free_port()), (gateway.base, port))
            ]
            found[integration] = Deployments(
                Site(direct, vendor, voice_browser), Site(through, emulator, voice_browser)
            )
        yield found


def assert_same(direct: Visit, through: Visit, *, timed: bool = False) -> None:
    """Both visits asked the same of their server, and saw, sent and showed the same."""
    assert through.dialled == direct.dialled
    assert through.story(timed=timed) == direct.story(timed=timed)
    assert through.of_gateway() == ["relay.session"]
    assert through.received[0]["data"]["resume"] is None
    assert direct.of_gateway() == []
    assert comparable(through.sent, timed=timed) == comparable(direct.sent, timed=timed)
    assert through.shown == direct.shown
    assert opening(through) == opening(direct)
    after = [comparable(visit.upstream[1:], timed=timed) for visit in (through, direct)]
    assert after[0] == after[1]
    assert through.result.keys() == direct.result.keys()


def opening(visit: Visit) -> dict[str, Any]:
    """What the vendor was asked to begin, whichever endpoint was dialled."""
    frame = visit.upstream[0]
    assert frame["type"] == "initialize"
    request: dict[str, Any] = frame.get("request") or frame["devRequest"]
    return request


DISCOVER = "GET /api/v1/web-integrations/discover?token"
SOCKET = "WebSocket /api/v1/ws/webCall?token"


@pytest.mark.parametrize("integration", [ON_DEV, ON_WEB_CALL])
async def test_the_widget_chats_by_its_servers_name_alone(
    deployed: dict[str, Deployments], integration: str
) -> None:
    direct, through = await deployed[integration].both(widget_chat)
    assert_same(direct, through)
    assert (direct.code, through.code) == (1000, 1000)
    assert direct.dialled == [DISCOVER, SOCKET]
    assert through.result["orders"] == 1
    kinds = [frame["type"] for frame in direct.sent]
    said = ["incomingChatMessage"] * 2
    assert kinds == ["initialize", *said, "websocketToolResponse", "websocketToolResponse"]
    # The comparison above saw every kind of frame, what no document lists included.
    assert {"event", "text", "toolCall", "toolCallResult", "websocketToolRequest"} < {
        frame["type"] for frame in direct.received
    }


async def test_the_widget_calls_by_its_servers_name_alone(
    deployed: dict[str, Deployments],
) -> None:
    direct, through = await deployed[ON_DEV].both(widget_call)
    assert_same(direct, through, timed=True)
    assert_call(direct, through)
    assert direct.dialled == [DISCOVER, SOCKET]


async def test_a_page_by_the_guides_chats_by_its_backends_base_url_alone(
    deployed: dict[str, Deployments],
) -> None:
    direct, through = await deployed[ON_DEV].both(guide_chat)
    assert_same(direct, through)
    assert (direct.code, through.code) == (1000, 1000)
    assert opening(through)["additionalData"] == {"marker": "guide"}


async def test_a_page_by_the_guides_calls_by_its_backends_base_url_alone(
    deployed: dict[str, Deployments],
) -> None:
    direct, through = await deployed[ON_WEB_CALL].both(guide_call)
    assert_same(direct, through, timed=True)
    assert_call(direct, through)


def assert_call(direct: Visit, through: Visit) -> None:
    """Both calls carried sound and keys both ways, and ended as calls end."""
    # The vendor drops the socket of a finished call; the gateway closes it with 1000 (S D).
    assert (direct.code, through.code) == (1006, 1000)
    for visit in (direct, through):
        assert visit.received[-1]["name"] == "closed"
        assert any(frame.get("name") == "heard" for frame in visit.received)
        assert visit.result["digits"] == "4"
        assert abs(visit.result["heard"]["loudestFrequency"] - MICROPHONE_TONE) < 20


async def test_the_widget_skips_discovery_where_it_is_told_to(
    deployed: dict[str, Deployments],
) -> None:
    direct, through = await deployed[ON_DEV].both(
        lambda site: widget_chat(site, **{"skip-discovery": ""})
    )
    assert_same(direct, through)
    assert through.dialled == [SOCKET]


async def test_the_widget_hides_what_the_agent_does_not_do(
    deployed: dict[str, Deployments],
) -> None:
    site = deployed[CHAT_ONLY].through
    async with site.page("widget") as (page, _):
        await page.wait_for_function("() => window.agent")
        for mode, hidden in (("hide", True), ("disable", False)):
            config = json.dumps({"enableFeatureGating": True, "uiGatingMode": mode})
            await page.evaluate(
                """(config) => {
                    const again = agent.cloneNode();
                    again.dataset.config = config;
                    agent.replaceWith(again);
                    window.agent = again;
                }""",
                config,
            )
            await open_widget(page)
            await expect(page.get_by_role("button", name="Chat")).to_be_enabled()
            assert await page.locator("#call").is_hidden() is hidden
            assert await page.locator("#call").is_disabled()
            await page.evaluate("() => agent.close()")
            await expect(page.get_by_role("status")).to_be_hidden()


async def test_the_widget_of_an_origin_that_is_not_allowed_is_not_served(
    deployed: dict[str, Deployments],
) -> None:
    known = deployed[ON_DEV].through
    held = len(await known.emulator.conversations())
    server, key = known.backend.base_url, processes.SERVICE_TOKEN
    async with backend(server, key, ON_DEV, free_port()) as stranger:
        site = Site(stranger, known.emulator, known.browser)
        async with site.page("widget") as (page, visit):
            await open_widget(page, "This agent is not available")
        async with site.page("widget", **{"skip-discovery": ""}) as (page, visit):
            await open_widget(page)
            await page.get_by_role("button", name="Chat").click()
            await page.wait_for_function("() => window.code === 1006")
            assert (visit.dialled, visit.received) == ([SOCKET], [])
    assert len(await known.emulator.conversations()) == held


async def test_the_widget_of_a_revoked_token_says_so_alike(
    deployed: dict[str, Deployments],
) -> None:
    async def turned_away(site: Site) -> Visit:
        async with site.page("widget") as (page, visit):
            await open_widget(page)
            token_id = site.backend.minted[-1]["tokenId"]
            assert (await site.backend.revoke_token(token_id)).status_code == 204
            await page.get_by_role("button", name="Chat").click()
            await page.wait_for_function("() => window.code !== undefined")
            visit.shown.append(await page.get_by_role("status").inner_text())
            await page.evaluate("() => agent.replaceWith(agent.cloneNode())")
            await open_widget(page, "This agent is not available")
        return visit

    direct, through = await deployed[ON_DEV].both(turned_away)
    assert through.dialled == direct.dialled == [DISCOVER, SOCKET, DISCOVER]
    assert all(visit.shown[0].startswith("Error: ") for visit in (direct, through))
    assert (
        [f["type"] for f in through.received] == [f["type"] for f in direct.received] == ["error"]
    )
    assert direct.received[0]["data"].keys() <= through.received[0]["data"].keys()


async def test_the_backend_is_answered_in_the_same_shape(
    deployed: dict[str, Deployments],
) -> None:
    def shape(answer: httpx.Response) -> tuple[int, list[str]]:
        return answer.status_code, sorted(answer.json()) if answer.content else []

    async def asked(site: Site) -> list[Any]:
        it = site.backend
        minted = await it.request_token("a name")
        found = [shape(minted), (await it.request_token("a name")).status_code]
        token_id = minted.json()["tokenId"]
        found += [(await it.revoke_token(token_id)).status_code for _ in range(2)]
        expiry = (datetime.now(UTC) + timedelta(days=365)).isoformat()
        found.append(shape(await it.request_token("a name", expiry)))
        endpoints = (await it.info()).json()["endpoints"]
        dialled = [one for one in endpoints if one["path"] == "/api/v1/ws/webCall"]
        return [*found, sorted(dialled[0]), dialled[0]["requiredParameters"]]

    sites = deployed[ON_DEV]
    direct, through = [await asked(site) for site in (sites.direct, sites.through)]
    assert through == direct
    assert direct[1:4] == [409, 204, 404]
    assert direct[0] == (201, ["createdAt", "expiresAt", "name", "token", "tokenId"])
