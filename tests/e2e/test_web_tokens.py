"""A backend made for the vendor: its base URL changed, and nothing else."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.support import gateway as processes
from tests.support.browser import browser
from tests.support.plain import plain_client
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "https://shop.example.com"
AGENTS: dict[str, Any] = {
    "default": {"call_types": ["webCall"]},
    "echo": {
        "call_types": ["chat"],
        "web_integration_id": "3f2a-int",
        "initialize": {"additionalData": {"agent": "echo"}},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(
    emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    """Two replicas on one Redis; the first has its backends' routes on a port of their own."""
    given: dict[str, Any] = {"agents": AGENTS, "auth": "ticket", "allowed_origins": PAGE}
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        given["state_url"] = redis.url
        async with (
            processes.gateway(emulator.url, internal_port=free_port(), **given) as first,
            processes.gateway(emulator.url, **given) as second,
        ):
            yield first, second


async def minted(
    gateway: Gateway, name: str, integration: str = "3f2a-int", **more: Any
) -> httpx.Response:
    async with gateway.api() as backend:
        url = f"/api/v1/web-integrations/{integration}/tokens"
        answer = await backend.post(url, json={"name": name, **more})
    if answer.status_code == 201:
        gateway.secrets[f"web token {name}"] = answer.json()["token"]
    return answer


async def revoked(gateway: Gateway, token_id: str, integration: str = "3f2a-int") -> int:
    async with gateway.api() as backend:
        url = f"/api/v1/web-integrations/{integration}/tokens/{token_id}"
        return (await backend.delete(url)).status_code


def socket_url(gateway: Gateway, token: str) -> str:
    """The URL that the vendor's widget builds."""
    return f"{gateway.ws}/api/v1/ws/webCall?token={quote(token, safe='')}"


async def test_token_opens_sockets_on_every_replica_until_it_is_revoked(
    replicas: tuple[Gateway, Gateway],
) -> None:
    first, second = replicas
    answer = await minted(first, "page")
    assert answer.status_code == 201
    token = answer.json()
    assert set(token) == {"tokenId", "token", "name", "createdAt", "expiresAt"}
    assert token["name"] == "page"
    life = dt.datetime.fromisoformat(token["expiresAt"]) - dt.datetime.fromisoformat(
        token["createdAt"]
    )
    assert life == dt.timedelta(days=30)
    for gateway in (first, second):
        async with plain_client(gateway.base) as client:
            query = {"token": token["token"]}
            told = await client.get("/api/v1/web-integrations/discover", params=query)
        assert (told.status_code, told.json()["agentId"]) == (200, "echo")
    async with (
        browser(socket_url(first, token["token"]), origin=PAGE) as one,
        browser(socket_url(second, token["token"]), origin=PAGE) as other,
    ):
        for page in (one, other):
            await page.send({"type": "initialize", "request": {"callType": "chat"}})
            await page.connected()
        assert page.frames[0]["data"]["agent"] == "echo"
        assert await revoked(second, token["tokenId"]) == 204
        async with asyncio.timeout(60):
            ends = [await page.refused() for page in (one, other)]
        assert [code for _, code in ends] == [4401, 4401]
    async with browser(socket_url(first, token["token"]), origin=PAGE) as page:
        assert (await page.refused())[1] == 4401
    assert await revoked(first, token["tokenId"]) == 404
    assert (await minted(second, "page")).status_code == 201  # the name is free again


async def test_name_is_unique_within_its_integration(replicas: tuple[Gateway, Gateway]) -> None:
    first, second = replicas
    answers = await asyncio.gather(*(minted(gateway, "twice") for gateway in 4 * [first, second]))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] + 7 * [409]
    assert (await minted(first, "twice", "default")).status_code == 201


async def test_token_is_for_its_agent_alone(replicas: tuple[Gateway, Gateway]) -> None:
    token = (await minted(replicas[0], "bound")).json()["token"]
    async with browser(f"{replicas[0].ws}/ws/default?token={token}", origin=PAGE) as page:
        assert (await page.refused())[1] == 4403


async def test_token_expires(replicas: tuple[Gateway, Gateway]) -> None:
    first, _ = replicas
    soon = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=3)).isoformat()
    token = (await minted(first, "short", expiresAt=soon)).json()
    assert token["expiresAt"][:19] == soon[:19]

    async def refused() -> bool:
        async with plain_client(first.base) as client:
            query = {"token": token["token"]}
            answer = await client.get("/api/v1/web-integrations/discover", params=query)
        return answer.status_code == 401

    await until(refused, every=0.2)
    assert (await minted(first, "short")).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": 7},
        {"name": "x" * 257},
        {"name": "past", "expiresAt": "2020-01-01T00:00:00Z"},
        {"name": "far", "expiresAt": "2999-01-01T00:00:00Z"},
        {"name": "no time", "expiresAt": "soon"},
        {"name": "number", "expiresAt": True},
    ],
    ids=str,
)
async def test_bad_body_is_a_problem(
    replicas: tuple[Gateway, Gateway], body: dict[str, Any]
) -> None:
    async with replicas[0].api() as backend:
        answer = await backend.post("/api/v1/web-integrations/echo/tokens", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_unknown_integrations_tokens_and_callers_are_refused(
    replicas: tuple[Gateway, Gateway],
) -> None:
    first, second = replicas
    assert (await minted(first, "n", "nobody")).status_code == 404
    token = (await minted(first, "elsewhere")).json()
    assert await revoked(first, token["tokenId"], "default") == 404
    assert await revoked(first, "0" * 64) == 404
    assert await revoked(first, "../x") == 404
    path = "/api/v1/web-integrations/echo/tokens"
    async with plain_client() as client:
        assert (await client.post(second.base + path, json={"name": "n"})).status_code == 401
        # Public port of the replica that has an internal one.
        assert (await client.post(first.base + path, json={"name": "n"})).status_code in (404, 405)


async def test_open_gateway_holds_a_token_to_its_agent(emulator: Emulator) -> None:
    async with processes.gateway(emulator.url, agents=AGENTS, auth="open") as gateway:
        token = (await minted(gateway, "page")).json()
        async with connect(socket_url(gateway, token["token"])) as socket:
            await socket.send('{"type":"initialize","request":{"callType":"chat"}}')
            assert '"agent":"echo"' in str(await socket.recv())
        assert await revoked(gateway, token["tokenId"]) == 204
        async with plain_client(gateway.base) as client:
            query = {"token": token["token"]}
            answer = await client.get("/api/v1/web-integrations/discover", params=query)
        assert answer.status_code == 401
