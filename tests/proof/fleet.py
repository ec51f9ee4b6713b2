"""Many replicas on one Redis before one vendor, behind HAProxy as deploy/ configures it."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.deploy.balancer import Balancer, ask, haproxy
from tests.proof.prefork import WarmGateway, forking
from tests.replicas.pair import ROOMY, ReplicaPair
from tests.support.gateway import SERVICE_TOKEN, emulator
from tests.support.plain import plain_client
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

UP = re.compile(r'haproxy_server_status\{proxy="gateways",server="gateway-(\d+)",state="UP"\} 1')


@dataclass
class Fleet(ReplicaPair):
    """What runs: a pair of more than two, whose replicas are forked off one process."""

    balancer: Balancer
    forks: Path
    up: set[int] = field(default_factory=set)

    async def start(self, number: int) -> WarmGateway:
        """Start a replica anew, where it was, and wait until HAProxy sends it sessions."""
        port = self.replicas[number].port
        replica = self.made(port)
        self.replicas[number] = replica
        await replica.start()
        await self.ready(number)
        await until(lambda: number in self.up, within=60, every=0.1)
        return replica

    def made(self, port: int) -> WarmGateway:
        """A replica that will listen there."""
        return WarmGateway(self.forks, self.vendor.url, **{**self.variables, "port": port})

    async def look(self) -> None:
        """Keep `up`: the replicas that HAProxy sends new sessions to, by its own metrics."""
        while True:
            answer = await asyncio.to_thread(ask, self.balancer.metrics, "/metrics")
            self.up = {int(number) - 1 for number in UP.findall(answer.text)}
            await asyncio.sleep(0.2)

    def sessions(self, number: int) -> set[str]:
        """All sessions that a replica has started, by its log."""
        lines = (line for line in self.replicas[number]._lines if '"session_started"' in line)
        return {json.loads(line)["session"] for line in lines}


def _servers(ports: Sequence[int]) -> Callable[[str], str]:
    """HAProxy's configuration with a server for each port; it has two."""

    def edit(text: str) -> str:
        lines = []
        for line in text.splitlines():
            lines.append(line)
            if re.match(r"\s+server gateway-2 ", line):
                tracked = " track gateways/gateway-%d" if " track " in line else ""
                lines += [
                    f"    server gateway-{number} 127.0.0.1:{port}"
                    + (tracked % number if tracked else "")
                    for number, port in enumerate(ports[2:], 3)
                ]
        return "\n".join(lines) + "\n"

    return edit


@asynccontextmanager
async def fleet(directory: Path, size: int, **variables: Any) -> AsyncIterator[Fleet]:
    """Everything, for the time of a block."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer(directory / "redis", durable=True))
        vendor = await stack.enter_async_context(emulator())
        forks = await stack.enter_async_context(forking(directory))
        headers = {"authorization": f"Bearer {SERVICE_TOKEN}"}
        backend = await stack.enter_async_context(plain_client(headers=headers, timeout=30))
        ports = [free_port() for _ in range(size)]
        place = directory / "haproxy"
        place.mkdir()
        addresses = [f"127.0.0.1:{port}" for port in ports]
        balancer = haproxy(place, addresses, _servers(ports))
        stack.callback(balancer.stop)
        given = {**ROOMY, "state_url": redis.url, **variables}
        it = Fleet(vendor, redis, [], given, backend, itertools.count(1), balancer, forks)
        it.replicas = [it.made(port) for port in ports]
        stack.push_async_callback(_stop, it)
        await until(lambda: _answers(balancer), within=60, every=0.1)
        looking = asyncio.create_task(it.look())
        stack.callback(looking.cancel)
        await asyncio.gather(*(it.start(number) for number in range(size)))
        yield it


def _answers(balancer: Balancer) -> bool:
    try:
        return ask(balancer.metrics, "/metrics").status == 200
    except OSError:
        return False


async def _stop(it: Fleet) -> None:
    """End the replicas, all at once."""
    started = [replica for replica in it.replicas if replica.process is not None]
    await asyncio.gather(*(replica.stop() for replica in started))
