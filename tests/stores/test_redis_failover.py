"""Redis that is demoted behind its name, is a replica to begin with, or is named by Sentinels."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from app.protocol.errors import ConfigurationError, StateReadOnly, StoreUnavailable
from app.state.address import Kind, parse
from app.state.factory import open_state
from app.state.interface import Caps
from app.state.redis import RedisState
from tests.state.conftest import PATIENT, row, running
from tests.stores.sockets import timers
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.sentinel import SERVICE, watched
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOMY = Caps(per_subject=1000, per_address=1000)


async def writes(state: RedisState) -> bool:
    try:
        await state.put_ticket("probe", b"1", 60)
        await state.enter(row(), ROOMY)
        await state.ping()
    except StoreUnavailable:
        return False
    return True


class Name:
    """A port that leads to whichever server is the primary, as a name in DNS does.

    Connections that exist stay where they are.
    """

    def __init__(self) -> None:
        self.target = 0
        self.port = 0
        self.opened: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened.append(self.target)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.target)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while chunk := await source.read(65536):
                target.write(chunk)
                await target.drain()
            target.close()

        await asyncio.gather(
            copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True
        )


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    with RedisServer(tmp_path / "a") as first, RedisServer(tmp_path / "b") as second:
        yield first, second


async def test_demoted_primary_is_noticed_left_and_healed(
    two: tuple[RedisServer, RedisServer],
) -> None:
    """Every connection of the process is dialled anew, also those that only ever read."""
    first, second = two
    name = Name()
    name.target = first.port
    server = await asyncio.start_server(name.serve, "127.0.0.1", 0)
    name.port = server.sockets[0].getsockname()[1]
    state = RedisState(f"redis://127.0.0.1:{name.port}/0", "a", timings=PATIENT)
    heard: list[bytes] = []

    async def listen() -> None:
        async for message in state.inbox():
            heard.append(message)  # noqa: PERF401 - it is looked at meanwhile

    with capture_logs() as logs:
        async with running(state):
            listening = asyncio.create_task(listen())
            await until(lambda: writes(state))
            first.command("REPLICAOF", "127.0.0.1", str(second.port))
            await until(lambda: any(log["event"] == "state_read_only" for log in logs))
            with pytest.raises(StateReadOnly):
                await state.ping()  # reads would do, but this replica is not ready to work
            # Dialled after the last beat that is refused, before the name moves: it never writes.
            generation = state.connector.generation
            await until(lambda: state.connector.generation > generation)
            assert await state.revoked(["c1"]) == frozenset()
            name.target = second.port
            await until(lambda: writes(state))
            # Redis' own client list: nobody of ours reads the demoted server for long.
            await until(lambda: b"blackbox-relay" not in first.query("CLIENT", "LIST"))
            assert await state.tell("a", b"hello")
            await until(lambda: heard == [b"hello"])
            listening.cancel()
    advice = next(log["advice"] for log in logs if log["event"] == "state_read_only")
    assert "RELAY_STATE_URL must lead to the primary" in advice
    server.close()


async def test_replica_as_the_only_store_is_never_ready(
    two: tuple[RedisServer, RedisServer],
) -> None:
    first, second = two
    second.command("REPLICAOF", "127.0.0.1", str(first.port))
    state = RedisState(second.url, "a")
    async with running(state):
        await until(lambda: refused(state))
        assert not await writes(state)


async def refused(state: RedisState) -> bool:
    try:
        await state.ping()
    except StateReadOnly:
        return True
    return False


async def test_sentinels_lead_to_the_primary_and_to_the_next_one(tmp_path: Path) -> None:
    with watched(tmp_path) as them:
        state = open_state(them.url, "a")
        assert isinstance(state, RedisState)
        async with running(state):
            await until(lambda: writes(state))
            await state.put_ticket("kept", b"payload", 300)
            dead = them.primary()
            await asyncio.to_thread(wait_for_replica, them.servers)
            dead.kill()
            await until(lambda: writes(state), within=60)
            heir = them.primary()
            assert heir is not dead
            assert b"probe" in heir.command("KEYS", "*ticket:probe")
            assert await state.take_ticket("kept") == b"payload"


def wait_for_replica(servers: list[RedisServer]) -> None:
    """Block until the replica has what the primary has."""
    for server in servers:
        server.command("WAIT", "1", "1000")


async def test_sentinel_that_does_not_answer_costs_nothing(tmp_path: Path) -> None:
    with watched(tmp_path, sentinels=1) as them:
        frozen = RedisServer(tmp_path / "frozen")
        frozen.start()
        frozen.pause()
        try:
            live = f"127.0.0.1:{them.sentinels[0].port}"
            hosts = f"127.0.0.1:{frozen.port},127.0.0.1:{free_port()},{live}"
            state = open_state(f"redis+sentinel://{hosts}/{SERVICE}", "a")
            assert isinstance(state, RedisState)
            await until(lambda: writes(state))
            await state.close()
        finally:
            frozen.kill()


async def test_unknown_service_is_state_lost(tmp_path: Path) -> None:
    with watched(tmp_path, sentinels=1) as them:
        state = open_state(them.url.replace(SERVICE, "another"), "a")
        with pytest.raises(StoreUnavailable):
            await state.ping()
        await state.close()


def test_sentinel_url_is_read_whole() -> None:
    url = "redis+sentinel://us%40er:p%2Fw@a:1,[::1]:2,c/my%20service/3?sentinel_password=s"
    address = parse(url)
    assert address.kind is Kind.SENTINEL
    assert address.sentinels == (("a", 1), ("::1", 2), ("c", 26379))
    assert address.service == "my service"
    assert address.url == "redis://us%40er:p%2Fw@sentinel/3"
    assert address.sentinel_login == (None, "s")
    assert parse("rediss+sentinel://a/s").url == "rediss://sentinel/0"
    assert "p%2Fw" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://canary:1",
        "redis+sentinel://canary:1/",
        "redis+sentinel://canary:port/s",
        "redis+sentinel://canary:1,/s",
        "redis+sentinel://canary:1/s/name",
        "redis+sentinels://canary:1/s",
        "redis://canary:1/0?canary=1",
        "redis://canary:1/0?health_check_interval=canary",
        "canary",
    ],
)
def test_url_that_names_no_store_is_refused_without_its_contents(url: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        open_state(url, "a")
    (fault,) = wrong.value.faults
    assert fault.startswith("RELAY_STATE_URL ")
    assert "canary" not in fault


async def test_idle_connection_is_kept_alive_by_tcp(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        state = RedisState(server.url, "a")
        await until(lambda: writes(state))
        found = timers(server.port)
        assert found
        assert all(kind == "keepalive" and seconds <= 30 for kind, seconds in found), found
        await state.close()
