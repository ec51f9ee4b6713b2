"""After a failover, what it lost of registrations is written again, and removals are repeated."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from app.state.interface import Caps
from app.state.redis import RedisState, Timings
from tests.state.conftest import row, running
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = Caps(per_subject=1, per_address=9)
TIMINGS = Timings(timeout=5.0, lease=4.0, alive=1.5, refill=1.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that can be told to look like one that has just become the primary."""
    with RedisServer(tmp_path / "redis", settings={"enable-debug-command": "yes"}) as server:
        yield server


def places(client: Redis) -> list[bytes]:
    """The keys of all places: counts of caps, and who holds them."""
    found: list[bytes] = client.keys("*cap:*")  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("lost", ["places", "row", "note"])
async def test_what_a_failover_lost_is_written_again(server: RedisServer, lost: str) -> None:
    a, b = (RedisState(server.url, name, timings=TIMINGS) for name in "ab")
    async with running(a), running(b):
        with Redis(port=server.port) as client:
            assert await a.enter(row("s1"), ONE) is None
            await a.refresh([row("s1")])
            pattern = {"places": "*cap:*", "row": "*session:s1", "note": "*held:*"}[lost]
            gone: list[bytes] = client.keys(pattern)
            assert client.delete(*gone) == len(gone) > 0
            await a.refresh([row("s1")])
            assert not client.keys(pattern), "nothing has told of a failover yet"
            client.execute_command("DEBUG", "CHANGE-REPL-ID")

            async def is_there() -> bool:
                await a.refresh([row("s1")])
                return bool(client.exists(*gone) == len(gone))

            await until(is_there, within=30)
            assert await b.enter(row("s2"), ONE) == "subject"
            await a.leave(row("s1"))
            assert await b.enter(row("s2"), ONE) is None


async def test_removal_that_a_failover_lost_is_repeated(server: RedisServer) -> None:
    a, b = (RedisState(server.url, name, timings=TIMINGS) for name in "ab")
    async with running(a), running(b):
        with Redis(port=server.port) as client:
            assert await a.enter(row("s1"), ONE) is None
            await a.refresh([row("s1")])
            kept: list[bytes] = client.keys("*session*")
            kept += places(client)
            for name in kept:
                assert client.copy(name, b"kept:" + name)
            await a.leave(row("s1"))
            for name in kept:
                client.rename(b"kept:" + name, name)
            assert await b.enter(row("s2"), ONE) == "subject", "the old place is there again"
            client.execute_command("DEBUG", "CHANGE-REPL-ID")

            numbers = count(3)

            async def is_free() -> str | None:
                """The session that was let in; each that asks has an id of its own."""
                asking = f"s{next(numbers)}"
                return asking if await b.enter(row(asking), ONE) is None else None

            admitted = await until(is_free, within=30)
            assert [each.id for each in (await b.sessions()).rows] == [admitted]


async def test_session_that_came_again_is_not_removed_again(server: RedisServer) -> None:
    a = RedisState(server.url, "a", timings=TIMINGS)
    async with running(a):
        with Redis(port=server.port) as client:
            assert await a.enter(row("s1"), ONE) is None
            await a.leave(row("s1"))
            assert await a.enter(row("s1"), ONE) is None
            assert await a.enter(row("s2", subject="bob"), ONE) is None
            await a.leave(row("s2", subject="bob"))
            gone: list[bytes] = client.keys("*session:*")
            client.delete(*gone)
            client.execute_command("DEBUG", "CHANGE-REPL-ID")

            async def is_back() -> bool:
                await a.refresh([row("s1")])
                return await a.find("s1") is not None

            await until(is_back, within=30)
            assert await a.enter(row("s3"), ONE) == "subject"
