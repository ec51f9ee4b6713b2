from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import pytest

from app.state.interface import SessionRow, State
from app.state.memory import MemoryState
from app.state.redis import RedisState, Timings
from tests.support.local_store import LocalStoreServer
from tests.support.redis import RedisServer
from tests.support.redis_cluster import RedisCluster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

# Patient where a test is not about patience: two cores are shared with other suites.
PATIENT = Timings(timeout=5.0, lease=15.0, alive=6.0, refill=1.0)
SHORT_LEASE = Timings(timeout=5.0, lease=0.5, alive=6.0, refill=1.0)

_prefixes = count()


@dataclass
class Clock:
    """The time of `MemoryState`; every look at it is a hundredth of a second later."""

    now: float = 1000.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


def row(session_id: str = "s1", **changes: object) -> SessionRow:
    values: dict[str, object] = {
        "id": session_id,
        "replica": "a",
        "agent": "default",
        "call_type": "chat",
        "subject": "alice",
        "address": "192.0.2.1",
        "started_at": 1_700_000_000.0,
    }
    return SessionRow(**(values | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def running(state: State) -> AsyncIterator[State]:
    """Run a state as a replica's lifespan does, close it, and show what its task died of."""
    task = asyncio.create_task(state.run())
    try:
        yield state
    finally:
        task.cancel()
        [ended] = await asyncio.gather(task, return_exceptions=True)
        await state.close()
        assert isinstance(ended, asyncio.CancelledError), f"run() ended by itself: {ended!r}"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all tests that do not harm it; they keep apart by prefix."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def local_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStoreServer]:
    """One store of workers for all tests; they keep apart by prefix."""
    with LocalStoreServer(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture
def mortal_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to stop and kill; it forgets everything at its end."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def prefix() -> str:
    return f"test{next(_prefixes)}"


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """One Redis Cluster for all tests that do not harm it; they keep apart by prefix."""
    with RedisCluster(tmp_path_factory.mktemp("cluster"), replicas=False) as cluster:
        yield cluster


@pytest.fixture(params=["memory", "redis", "cluster", "local"])
async def state(request: pytest.FixtureRequest, prefix: str) -> AsyncIterator[State]:
    """The port, by each of its implementations, running as replica "a"."""
    if request.param == "memory":
        opened: State = MemoryState("a")
    else:
        opened = RedisState(url_of(request), "a", prefix=prefix, timings=PATIENT)
    async with running(opened):
        yield opened


def url_of(request: pytest.FixtureRequest) -> str:
    """The store of the fixture's parameter."""
    if request.param != "cluster":
        return server_of(request).url
    cluster = request.getfixturevalue("redis_cluster")
    assert isinstance(cluster, RedisCluster)
    return cluster.url


def server_of(request: pytest.FixtureRequest) -> RedisServer | LocalStoreServer:
    """The Redis, or the store of workers, that a test's parameter names."""
    local = request.param == "local"
    server = request.getfixturevalue("local_store" if local else "redis_server")
    assert isinstance(server, RedisServer | LocalStoreServer)
    return server
