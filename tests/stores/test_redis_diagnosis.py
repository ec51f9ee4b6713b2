"""What is wrong with `RELAY_STATE_URL`: `check --connect` and `/readyz` say it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
from redis import Redis

from app.cli.doctor.check_stores import check_stores
from app.cli.doctor.finding import Severity
from app.protocol.errors import StoreUnavailable
from app.settings import load
from app.state.redis import RedisState, Timings
from tests.state.conftest import running
from tests.support.gateway import KEY, Gateway
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_security import Authority, secured
from tests.support.sentinel import Watched
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUICK = Timings(timeout=1.0, alive=0.6)


class Servers:
    """One Redis of each kind."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.single = stack.enter_context(RedisServer(directory / "single"))
        self.locked = stack.enter_context(RedisServer(directory / "locked"))
        self.locked.command("CONFIG", "SET", "requirepass", "canary-password")
        self.cluster = stack.enter_context(RedisCluster(directory / "cluster", replicas=False))
        self.sentinels = Watched(directory / "sentinels", sentinels=1)
        stack.callback(self.sentinels.stop)
        self.sentinels.start()
        authority = Authority(directory / "tls")
        tls = RedisServer(directory / "tls-redis")
        self.ports = {
            "single": self.single.port,
            "locked": self.locked.port,
            "node": self.cluster.nodes[0].port,
            "sentinel": self.sentinels.sentinels[0].port,
            "tls": secured(tls, authority),
            "nobody": free_port(),
        }
        stack.enter_context(tls)
        self.trusting = authority.query

    def url(self, pattern: str) -> str:
        return pattern.format(**self.ports, trusting=self.trusting)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


WRONG = {
    "cluster URL, one Redis": ("redis+cluster://127.0.0.1:{single}", "no Redis Cluster"),
    "cluster URL, Sentinel": ("redis+cluster://127.0.0.1:{sentinel}", "redis+sentinel://"),
    "sentinel URL, one Redis": ("redis+sentinel://127.0.0.1:{single}/s", "no Sentinel"),
    "plain URL, Sentinel": ("redis://127.0.0.1:{sentinel}", "redis+sentinel://"),
    "unknown service": ("redis+sentinel://127.0.0.1:{sentinel}/other", "no service of the name"),
    "no password": ("redis://127.0.0.1:{locked}", "user or password"),
    "wrong password": ("redis://:no@127.0.0.1:{locked}", "user or password"),
    "sentinel's password": ("redis+sentinel://127.0.0.1:{locked}/s", "sentinel_password"),
    "cluster's password": ("redis+cluster://:no@127.0.0.1:{locked}", "user or password"),
    "plain, TLS": ("redis://127.0.0.1:{tls}", "rediss://"),
    "cluster, TLS": ("redis+cluster://127.0.0.1:{tls}", "no node"),
    "sentinel, TLS": ("redis+sentinel://127.0.0.1:{tls}/s", "no Sentinel"),
    "TLS, plain": ("rediss://127.0.0.1:{single}?{trusting}", "TLS"),
    "TLS, plain cluster": ("rediss+cluster://127.0.0.1:{node}?{trusting}", "TLS"),
    "TLS, plain Sentinel": ("rediss+sentinel://127.0.0.1:{sentinel}/s?{trusting}", "TLS"),
    "TLS, not trusted": ("rediss://127.0.0.1:{tls}", "SSL_CERT_FILE"),
    "nobody": ("redis://127.0.0.1:{nobody}", "host, port"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_fault_is_named_by_the_check_and_by_readiness(servers: Servers, case: str) -> None:
    pattern, expected = WRONG[case]
    url = servers.url(pattern)
    told, advice = await asyncio.gather(checked(url), unready(url))
    for said in (told, advice):
        assert expected in said
        assert "RELAY_STATE_URL" in said
        assert "canary" not in said


async def checked(url: str) -> str:
    """What `check --connect` says of the state, which must be a fault."""
    settings = load({"RELAY_BLACKBOX_API_KEY": KEY, "RELAY_STATE_URL": url})
    found = await check_stores(settings)
    faults = [each for each in found if each.severity is Severity.FAULT]
    assert faults, found
    return " ".join(f"{each.subject} {each.seen} {each.advice}" for each in faults)


async def unready(url: str) -> str:
    """The advice that `/readyz` shows, once there is one."""
    state = RedisState(url, "a", timings=QUICK)
    async with running(state):
        lost: StoreUnavailable = await until(lambda: fault_of(state), within=60)
    assert lost.advice is not None
    return lost.advice


async def fault_of(state: RedisState) -> StoreUnavailable | None:
    try:
        await state.ping()
    except StoreUnavailable as lost:
        return lost if lost.advice else None
    return None


async def test_plain_url_of_any_cluster_node_is_a_fault(servers: Servers) -> None:
    """Also of the node that serves all of the gateway's keys, for as long as it does."""
    for node in servers.cluster.nodes:
        assert "redis+cluster://" in await checked(node.url)


async def test_state_recovers_when_its_user_or_service_is_made(servers: Servers) -> None:
    """A user without a password, a service that Sentinels do not know yet."""
    locked, sentinel = servers.locked, servers.sentinels.sentinels[0]
    user = servers.url("redis://relay:canary-late@127.0.0.1:{locked}")
    service = servers.url("redis+sentinel://127.0.0.1:{sentinel}/late")
    states = [RedisState(url, "a", prefix="relay", timings=QUICK) for url in (user, service)]
    async with running(states[0]), running(states[1]):
        for state, reason in zip(states, ("user or password", "no service"), strict=True):
            lost = await fault_soon(state)
            assert reason in str(lost.advice)
        with Redis(port=locked.port, password="canary-password") as client:
            client.acl_setuser(
                "relay",
                enabled=True,
                passwords=["+canary-late"],
                keys=["{relay*"],
                categories=["+@all"],
            )
        primary = str(servers.sentinels.servers[0].port)
        sentinel.command("SENTINEL", "MONITOR", "late", "127.0.0.1", primary, "1")
        await until(lambda: is_well(states[0]), within=60)
        await until(lambda: is_well(states[1]), within=60)


async def fault_soon(state: RedisState) -> StoreUnavailable:
    found: StoreUnavailable = await until(lambda: fault_of(state), within=60)
    return found


async def is_well(state: RedisState) -> bool:
    try:
        await state.ping()
    except StoreUnavailable:
        return False
    return True


async def test_gateway_starts_unready_with_the_reason_and_recovers(servers: Servers) -> None:
    cluster = servers.cluster
    cluster.ask(cluster.nodes[0], "CLUSTER", "DELSLOTS", 5)
    gateway = Gateway(f"ws://127.0.0.1:{free_port()}", state_url=cluster.url)
    try:
        await gateway.start()
        await until(lambda: says(gateway, "slots that no node serves"), within=50)
        cluster.ask(cluster.nodes[0], "CLUSTER", "ADDSLOTS", 5)
        await until(lambda: is_ready(gateway), within=50)
    finally:
        await gateway.stop()


async def says(gateway: Gateway, reason: str) -> bool:
    try:
        async with gateway.api() as client:
            answer = await client.get("/readyz")
    except httpx.TransportError:
        return False  # it is starting
    told = answer.json()
    if answer.status_code != 503 or "advice" not in told:
        return False
    assert told["reason"] == "state_lost"
    return reason in told["advice"] and "RELAY_STATE_URL" in told["advice"]


async def is_ready(gateway: Gateway) -> bool:
    async with gateway.api() as client:
        return (await client.get("/readyz")).status_code == 200
