"""A thousand conversations at once, in a process of its own."""

from __future__ import annotations

import asyncio
import resource
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from tests.emulator.peer import Peer
from tests.emulator.test_command import Elsewhere, process

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 1_000


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many descriptors as the system lets us have: two legs of each conversation."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("descriptors")
async def test_a_thousand_conversations_at_once() -> None:
    all_open = asyncio.Barrier(COUNT)
    dialling = asyncio.Semaphore(100)

    async def one(elsewhere: Any) -> dict[str, Any]:
        await dialling.acquire()
        async with Peer.dial(elsewhere) as peer:
            await peer.initialize("counter", count=5, expect=5, toolEvery=5, echoUser=False)
            dialling.release()
            request = await peer.until("websocketToolRequest")
            async with asyncio.timeout(90):
                await all_open.wait()
            await peer.answer(request["content"]["id"], {"ok": True})
            for number in range(1, 6):
                await peer.say(f"#{number}")
            await peer.closed()
            texts = [frame["content"]["text"] for frame in peer.of("text")]
            assert texts == ["#1", "#2", "#3", "#4", "#5"]
            return dict(peer.of("conversationResult")[0]["result"])

    async with process() as (running, url):
        elsewhere = Elsewhere(url)
        reports = await asyncio.gather(*(one(elsewhere) for _ in range(COUNT)))
        assert all(report["user"]["ok"] and report["toolCalls"] == 1 for report in reports)
        emulator = psutil.Process(running.pid)
        assert emulator.memory_info().rss < 200 * 1024 * 1024
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            door = url.replace("ws:", "http:") + f"/emulator/conversations?ended={COUNT}&timeout=30"
            view = (await client.get(door)).json()
    assert {conversation["endedBy"] for conversation in view["conversations"]} == {"agent"}
    assert not any(conversation["violations"] for conversation in view["conversations"])
    assert view["counters"]["sockets_open"] == 1  # the request that asks
