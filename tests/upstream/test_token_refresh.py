"""Web integration tokens, minted at a real emulator and left nowhere."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr
from websockets.asyncio.client import connect

from app.protocol.errors import UpstreamError
from app.upstream.token_refresh import RefreshingToken
from tests.support.gateway import KEY, Emulator
from tests.support.gateway import gateway as start
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")


def rest(emulator: Emulator) -> str:
    """Where its REST calls are."""
    return f"http://127.0.0.1:{emulator.port}"


async def tokens(emulator: Emulator, integration: str) -> list[dict[str, Any]]:
    """What the vendor holds for an integration."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(
            f"{rest(emulator)}/api/v1/web-integrations/{integration}/tokens",
            headers={"authorization": f"Bearer {KEY}"},
        )
    found: list[dict[str, Any]] = answer.json()
    return found


@asynccontextmanager
async def minting(
    emulator: Emulator, integration: str, key: str = KEY, **more: Any
) -> AsyncIterator[RefreshingToken]:
    """A credential that renews itself for the time of a block."""
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.TaskGroup() as tasks:
        made = RefreshingToken(rest(emulator), integration, SecretStr(key), client, **more)
        running = tasks.create_task(made.run())
        yield made
        running.cancel()


async def test_token_is_minted_with_a_unique_name_and_an_end(emulator: Emulator) -> None:
    async with minting(emulator, "one") as credential:
        assert (await credential.current()).get_secret_value()
        (token,) = await tokens(emulator, "one")
        assert token["name"].startswith("blackbox-relay-")
        assert token["expiresAt"]


async def test_token_is_renewed_before_it_ends_and_old_ones_are_deleted(
    emulator: Emulator,
) -> None:
    async with minting(emulator, "two", life=3.0) as credential:
        first = (await credential.current()).get_secret_value()

        async def renewed() -> bool:
            return (await credential.current()).get_secret_value() != first

        await until(renewed)
        await until(lambda: _count(emulator, "two", 1))


async def test_no_token_is_left_when_the_gateway_goes(emulator: Emulator) -> None:
    async with minting(emulator, "three") as credential:
        await credential.current()
    assert await tokens(emulator, "three") == []


async def test_wrong_key_gives_no_token_and_says_so_without_it(emulator: Emulator) -> None:
    async with minting(emulator, "four", "not-the-key", wait=0.2) as credential:
        with pytest.raises(UpstreamError) as failed:
            await credential.current()
    assert "not-the-key" not in str(failed.value) + repr(credential)


async def test_gateway_talks_to_the_production_endpoint_by_a_minted_token(
    emulator: Emulator,
) -> None:
    from tests.e2e.test_conversation import chat, frame  # noqa: PLC0415

    async with start(emulator.url, upstream="webcall", web_integration_id="five") as gateway:
        async with connect(f"{gateway.ws}/ws/echo?call_type=chat") as ws:
            await frame(ws, "event", "connection")
            await ws.send(chat("hello"))
            while "hello" not in (await frame(ws, "text"))["content"]["text"]:
                pass
        opening = (await emulator.received())[0]
        assert "request" in opening
        assert "devRequest" not in opening
    assert await tokens(emulator, "five") == []


async def _count(emulator: Emulator, integration: str, wanted: int) -> bool:
    return len(await tokens(emulator, integration)) == wanted
