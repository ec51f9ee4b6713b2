"""What a widget asks before it opens a socket: `discover` and `ws/info`, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from time import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import pytest_asyncio

from tests.e2e.conftest import JWT_SECRET
from tests.support import gateway as processes
from tests.support.browser import Browser, browser
from tests.support.plain import plain_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

DISCOVER = "/api/v1/web-integrations/discover"
PAGE = "https://shop.example.com"
TOKEN = "canary+integration/token=7f"
AGENTS: dict[str, Any] = {
    "default": {"browser_tools": ["show_order"]},
    "talks": {
        "call_types": ["chat"],
        "browser_tools": ["b_tool", "a_tool"],
        "hide": [],
        "web_integration_id": "int-7",
        "discover": {
            "name": "Shop",
            "enabled": False,
            "widgetAppearance": {"theme": "dark"},
            "features": [
                {"name": "AllowWebChat", "enabled": True},
                {"name": "AllowWebCall", "enabled": True},
                {"name": "Unheard", "enabled": True},
            ],
            "shade": {"of": "grey"},
        },
    },
    "vendors": {
        "upstream": "webcall",
        "web_integration_token": TOKEN,
        "call_types": ["chat"],
        "browser_tools": "integration",
        "discover": {"name": "Ours"},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor() -> AsyncIterator[Emulator]:
    async with processes.emulator("--token", TOKEN) as running:
        running.secrets["web integration token"] = TOKEN
        yield running


@asynccontextmanager
async def started(vendor: Emulator, **variables: Any) -> AsyncIterator[Gateway]:
    given: dict[str, Any] = {"agents": AGENTS, "auth": "ticket", "allowed_origins": PAGE}
    async with processes.gateway(vendor.url, **(given | variables)) as running:
        running.secrets["web integration token"] = TOKEN
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def strict(vendor: Emulator) -> AsyncIterator[Gateway]:
    async with started(vendor) as running:
        yield running


async def asked(gateway: Gateway, token: str | None = None, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    query = {} if token is None else {"token": token}
    async with plain_client(gateway.base) as client:
        return await client.get(DISCOVER, params=query, headers=named)


async def order(vendor: Emulator, **said: Any) -> None:
    async with plain_client() as client:
        url = f"http://127.0.0.1:{vendor.port}/emulator/discover"
        assert (await client.post(url, json=said)).status_code == 200


async def times_asked(vendor: Emulator) -> int:
    async with plain_client() as client:
        answer = await client.get(f"http://127.0.0.1:{vendor.port}/emulator/discover")
    return int(answer.json()["asked"])


async def test_profile_answers_and_the_ticket_still_opens_a_socket(strict: Gateway) -> None:
    ticket = await strict.ticket(agent="default")
    answer = await asked(strict, ticket, origin=PAGE)
    assert answer.status_code == 200
    told = answer.json()
    assert told == {
        "integrationId": "default",
        "agentId": "default",
        "name": "default",
        "enabled": True,
        "description": "",
        "features": [
            {"name": "AllowWebChat", "enabled": True},
            {"name": "AllowWebCall", "enabled": True},
            {"name": "SendCallResult", "enabled": True},
            {"name": "SendTranscriptForAudioCall", "enabled": True},
            {"name": "SendToolCallLogs", "enabled": False},
        ],
        "widgetAppearance": {
            "theme": "light",
            "position": "bottom-right",
            "colors": {},
            "customStyles": "",
        },
        "tools": ["show_order"],
    }
    assert (await asked(strict, ticket)).status_code == 200
    async with browser(f"{strict.ws}/api/v1/ws/webCall?token={ticket}", origin=PAGE) as page:
        await page.send({"type": "initialize", "request": {"callType": "chat"}})
        await page.connected()
        # Once redeemed it is a bad credential.
        assert (await asked(strict, ticket)).status_code == 401


async def test_profile_s_discover_overrides_members_but_not_what_is_allowed(
    strict: Gateway,
) -> None:
    told = (await asked(strict, await strict.ticket(agent="talks"))).json()
    assert (told["integrationId"], told["name"], told["enabled"]) == ("int-7", "Shop", False)
    assert told["widgetAppearance"]["theme"] == "dark"
    assert told["widgetAppearance"]["position"] == "bottom-right"
    assert told["features"] == [
        {"name": "AllowWebChat", "enabled": True},
        {"name": "AllowWebCall", "enabled": False},
        {"name": "Unheard", "enabled": True},
    ]
    assert told["tools"] == ["a_tool", "b_tool"]
    assert told["shade"] == {"of": "grey"}


async def test_call_type_of_a_ticket_turns_the_other_features_off(strict: Gateway) -> None:
    told = (await asked(strict, await strict.ticket(agent="default", call_type="webCall"))).json()
    on = {feature["name"]: feature["enabled"] for feature in told["features"]}
    assert (on["AllowWebChat"], on["AllowWebCall"]) == (False, True)


@pytest.mark.parametrize(
    "token", [None, "", "bbt_" + "A" * 43, "guess", "bbw_" + "A" * 43, "a" * 6000]
)
async def test_bad_credential_is_a_problem_that_the_page_can_read(
    strict: Gateway, token: str | None
) -> None:
    answer = await asked(strict, token, origin=PAGE)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert not token or token not in answer.text


async def test_only_allowed_origins_may_read(strict: Gateway) -> None:
    ticket = await strict.ticket(agent="default")
    for origin in ("https://evil.example.com", "null", "https://shop.example.com.evil.net"):
        answer = await asked(strict, ticket, origin=origin)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    allowed = await asked(strict, ticket, origin=PAGE)
    assert allowed.headers["access-control-allow-origin"] == PAGE
    assert "Origin" in allowed.headers["vary"]
    absent = await asked(strict, ticket)
    assert absent.status_code == 200
    assert "access-control-allow-origin" not in absent.headers


async def test_preflight_is_answered_for_allowed_origins_alone(strict: Gateway) -> None:
    asking = {
        "origin": PAGE,
        "access-control-request-method": "GET",
        "access-control-request-headers": "content-type,x-widget",
    }
    async with plain_client(strict.base) as client:
        answer = await client.options(DISCOVER, headers=asking)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-methods"] == "GET"
        assert answer.headers["access-control-allow-headers"] == "content-type,x-widget"
        evil = await client.options(DISCOVER, headers=asking | {"origin": "https://evil.example"})
        assert evil.status_code == 403
        assert not any(name.startswith("access-control") for name in evil.headers)
        odd = asking | {"access-control-request-headers": "x, \x01y"}
        assert (
            "access-control-allow-headers"
            not in (await client.options(DISCOVER, headers=odd)).headers
        )
        plain = await client.options(DISCOVER)
        assert (plain.status_code, plain.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        posted = await client.post(DISCOVER)
        assert posted.status_code == 405


async def test_ticket_bound_to_an_origin_is_for_that_page_alone(strict: Gateway) -> None:
    ticket = await strict.ticket(agent="default", origin=PAGE)
    assert (await asked(strict, ticket, origin=PAGE)).status_code == 200
    assert (await asked(strict, ticket)).status_code == 401


async def test_revoked_ticket_is_refused(strict: Gateway) -> None:
    async with strict.api() as backend:
        minted = (await backend.post("/v1/tickets", json={"subject": "u"})).json()
        strict.secrets["revoked ticket"] = minted["ticket"]
        await backend.post("/v1/revocations", json={"credential_id": minted["id"]})
    assert (await asked(strict, minted["ticket"])).status_code == 401


async def test_guessing_is_slowed_down_and_valid_credentials_are_not(vendor: Emulator) -> None:
    async with started(vendor) as gateway:
        good = await gateway.ticket(agent="default")
        codes = [(await asked(gateway, f"guess{n}")).status_code for n in range(40)]
        assert set(codes) == {401, 429}
        assert codes[:20] == [401] * 20
        limited = await asked(gateway, "another")
        assert limited.headers["retry-after"] == "5"
        assert (await asked(gateway, good)).status_code == 200


async def test_vendor_s_answer_is_passed_on_asked_for_once_and_never_holds_the_token(
    vendor: Emulator,
) -> None:
    await order(vendor, tools=["show_order", "add_to_cart"], novelty=[1, 2])
    before = await times_asked(vendor)
    async with started(vendor) as gateway:
        ticket = await gateway.ticket(agent="vendors")
        answers = await asyncio.gather(*(asked(gateway, ticket) for _ in range(20)))
    assert await times_asked(vendor) == before + 1
    told = answers[0].json()
    assert {answer.text for answer in answers} == {answers[0].text}
    assert TOKEN not in answers[0].text
    assert told["integrationId"] == "emulated-integration"
    assert told["name"] == "Ours"
    assert told["tools"] == ["show_order", "add_to_cart"]
    assert told["novelty"] == [1, 2]
    on = {feature["name"]: feature["enabled"] for feature in told["features"]}
    assert (on["AllowWebChat"], on["AllowWebCall"]) == (True, False)  # the profile is for chats


BAD: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 401},
    {"raw": ["no object"]},
    {"raw": "text"},
    {"features": {"AllowWebChat": True}},
    {"features": [{"name": "AllowWebChat", "enabled": "yes"}]},
    {"tools": [{"title": "no name"}]},
    {"tools": ["not a name!"]},
    {"enabled": 1},
    {"widgetAppearance": "dark"},
    {"description": f"echo {TOKEN}"},
    {"description": "x" * 65_300},
]


async def test_bad_answers_of_the_vendor_fall_back_to_the_profile(vendor: Emulator) -> None:
    # One agent for each: what is known of one is not asked for again.
    profile = AGENTS["vendors"] | {"browser_tools": ["mine"], "discover": {}}
    agents = {f"vendors{number}": profile for number in range(len(BAD))}
    async with started(vendor, agents=agents) as gateway:
        for said, name in zip(BAD, agents, strict=True):
            await order(vendor, **said)
            told = (await asked(gateway, await gateway.ticket(agent=name))).json()
            assert told["integrationId"] == name, said
            assert told["tools"] == ["mine"], said
            assert TOKEN not in str(told)
        failures = [
            json.loads(line) for line in gateway.log.splitlines() if "discover_fail" in line
        ]
    assert [line["agent"] for line in failures] == list(agents)
    assert [line["cause"] for line in failures] == [
        *("http_500", "http_401", "malformed_answer", "malformed_answer"),
        *("malformed_features", "malformed_features", "malformed_tools", "malformed_tools"),
        *("malformed_enabled", "malformed_widgetAppearance", "repeats_token"),
        "answer_too_large",
    ]


async def test_vendor_that_is_gone_leaves_the_profile() -> None:
    async with processes.emulator("--token", TOKEN) as gone, started(gone) as gateway:
        await gone.stop()
        told = (await asked(gateway, await gateway.ticket(agent="vendors"))).json()
    assert (told["integrationId"], told["name"]) == ("vendors", "Ours")


async def test_browser_tools_of_the_integration_reach_the_page(vendor: Emulator) -> None:
    profile = AGENTS["vendors"] | {"initialize": {"additionalData": {"agent": "support"}}}
    async with started(vendor, agents={"lists": profile, "omits": profile}) as gateway:
        await order(vendor, tools=["check_order_status", {"name": "show_order"}])
        async with ordering(gateway, "lists") as page:
            request = (await page.frame("websocketToolRequest"))["content"]
            assert request["toolName"] == "show_order"  # the gateway has the other one itself
            shown = {"id": request["id"], "result": "shown"}
            await page.send({"type": "websocketToolResponse", "channelId": None, "content": shown})
            assert await page.closed() == 1000
        await order(vendor, tools=[])
        async with ordering(gateway, "omits") as page:
            assert await page.closed() == 1000
            assert "websocketToolRequest" not in {frame["type"] for frame in page.frames}
            assert "could not show it" in "".join(
                frame["content"]["text"] for frame in page.frames if frame["type"] == "text"
            )


@asynccontextmanager
async def ordering(gateway: Gateway, agent: str) -> AsyncIterator[Browser]:
    """A page that has asked the support agent for an order."""
    ticket = await gateway.ticket(agent=agent)
    async with browser(f"{gateway.ws}/ws?ticket={ticket}&call_type=chat", origin=PAGE) as page:
        await page.connected()
        await page.send({"type": "incomingChatMessage", "content": "1001"})
        yield page


async def test_open_forward_and_jwt_are_asked_as_for_a_socket(vendor: Emulator) -> None:
    async with started(vendor, auth="open") as gateway:
        told = (await asked(gateway, "anything.with.dots")).json()
        assert told["agentId"] == "default"
        async with plain_client(gateway.base) as client:
            chosen = await client.get(DISCOVER, params={"agent": "talks"})
            assert chosen.json()["name"] == "Shop"
            assert (await client.get(DISCOVER, params={"agent": "nobody"})).status_code == 404
    async with started(vendor, auth="jwt", jwt_secret=JWT_SECRET) as gateway:
        token = jwt.encode({"sub": "u", "agent": "talks", "exp": time() + 60}, JWT_SECRET)
        answer = await asked(gateway, authorization=f"Bearer {token}")
        assert answer.json()["name"] == "Shop"
        refused = await asked(gateway, token)
        assert (refused.status_code, "URL" in refused.json()["detail"]) == (401, True)


async def test_ws_info_describes_the_gateway_in_the_vendor_s_shape(strict: Gateway) -> None:
    async with plain_client(strict.base) as client:
        answer = await client.get("/api/v1/ws/info", headers={"origin": "https://any.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    told = answer.json()
    assert told["status"] == "ok"
    [endpoint] = told["endpoints"]
    assert endpoint["path"] == "/api/v1/ws/webCall"
    assert endpoint["requiredParameters"] == ["token"]
    assert {"initialize", "sdpAnswer", "terminate"} <= set(endpoint["supportedMessageTypes"])
    assert set(endpoint) == {
        *("path", "description", "requiredParameters", "optionalParameters"),
        "supportedMessageTypes",
    }
