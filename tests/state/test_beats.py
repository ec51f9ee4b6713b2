"""A replica shows that it lives, whatever its other calls wait for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from app.state.redis import RedisState, Timings
from tests.state.conftest import running
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.redis import RedisServer


@pytest.mark.timeout(60)
async def test_owner_beats_while_a_crowd_has_all_other_connections(
    redis_server: RedisServer, prefix: str
) -> None:
    timings = Timings(timeout=90.0, lease=2.0, alive=6.0, refill=1.0)
    state = RedisState(redis_server.url, "a", prefix=prefix, timings=timings, connections=1)
    with Redis(port=redis_server.port) as client:

        def beats() -> list[tuple[bytes, float]]:
            found: list[tuple[bytes, float]] = client.zrange(
                state.keys.owners("alive"), 0, -1, withscores=True
            )
            return found

        async def next_beat() -> None:
            before = beats()
            await until(lambda: beats() not in ([], before))

        crowd = asyncio.create_task(state._store.call("find", "BLPOP", f"{prefix}:never", 0))
        try:
            await until(lambda: client.info("clients")["blocked_clients"] >= 1)
            async with running(state):
                for _ in range(3):
                    await next_beat()
                assert len(beats()) == 1
                assert not crowd.done()
                client.rpush(f"{prefix}:never", "1")
                await crowd
        finally:
            crowd.cancel()
