"""What live sessions that say nothing cost Redis, with real gateways."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis
from websockets.asyncio.client import ClientConnection, connect

from tests.replicas.pair import ReplicaPair, replica_pair

if TYPE_CHECKING:
    from pathlib import Path

SESSIONS = 1_000
SECONDS = 15.0
"""A lease: each replica audits some of its sessions once in it."""

ROUNDS = 3
AT_ONCE = 20
MOST = 0.3
"""Microseconds of Redis' CPU per session and second.

Redis alone uses 1,300 a second, and 2,700 with two replicas without sessions: the more, the more
else the machine does meanwhile, so the best of `ROUNDS` counts.
"""


def cpu(port: int) -> float:
    """Seconds of CPU that Redis' main thread has used."""
    with Redis(port=port) as client:
        facts = client.info("cpu")
    return float(facts["used_cpu_sys_main_thread"]) + float(facts["used_cpu_user_main_thread"])


def commands(port: int) -> int:
    """Commands that Redis has carried out, those within scripts included."""
    with Redis(port=port) as client:
        return sum(facts["calls"] for facts in client.info("commandstats").values())


async def spent(port: int) -> float:
    """Redis' CPU in microseconds per second: the least of `ROUNDS` times `SECONDS`."""
    used = []
    for _ in range(ROUNDS):
        before = await asyncio.to_thread(cpu, port)
        await asyncio.sleep(SECONDS)
        used.append((await asyncio.to_thread(cpu, port) - before) / SECONDS * 1e6)
    return min(used)


async def open_sessions(it: ReplicaPair) -> list[ClientConnection]:
    """`SESSIONS` of them on all replicas, each begun and then silent."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> ClientConnection:
        async with room:
            url = f"{it.replicas[number % len(it.replicas)].ws}/ws"
            return await connect(url, ping_interval=None, open_timeout=60, max_queue=None)

    return await asyncio.gather(*(one(number) for number in range(SESSIONS)))


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_a_thousand_silent_sessions_cost_redis_nearly_nothing(tmp_path: Path) -> None:
    variables: dict[str, Any] = {
        "auth": "open",
        "initialize_timeout": 600,
        "idle_timeout": 600,
        "max_sessions_per_ip": 5000,
    }
    async with replica_pair(tmp_path, **variables) as it:
        idle = await spent(it.redis.port)
        sockets = await open_sessions(it)
        assert len(await it.rows(0)) == 500, "a page is full"
        # What is said at the beginning is published once; then nothing changes any more.
        await asyncio.sleep(5)
        before = await asyncio.to_thread(commands, it.redis.port)
        busy = await spent(it.redis.port)
        count = await asyncio.to_thread(commands, it.redis.port) - before
        per_second = count / SECONDS / ROUNDS
        answer = await it.backend.get(f"{it.replicas[0].base}/v1/sessions?limit=1")
        assert answer.json()["total"] == SESSIONS
        cost = (busy - idle) / SESSIONS
        print(
            f"Redis' CPU per silent session and second: {cost:.3f} µs "
            f"({idle:.0f} µs a second without sessions, {busy:.0f} with {SESSIONS}); "
            f"{per_second / SESSIONS:.4f} commands"
        )
        assert cost < MOST
        assert per_second / SESSIONS < 0.1
        await asyncio.gather(*(socket.close() for socket in sockets))
