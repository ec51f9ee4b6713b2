"""Two replicas on one Redis before one vendor, as processes; and conversations with numbers in."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from tests.support.gateway import SERVICE_TOKEN, Emulator, Gateway, emulator
from tests.support.ports import free_port
from tests.support.redis import RedisServer
from tests.support.resuming import ResumingBrowser
from tests.support.waiting import until

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from tests.support.resuming import Story

# Limits that are other tests' subject are out of the way; a busy machine is given time.
ROOMY: dict[str, Any] = {
    "auth": "ticket",
    "frames_per_second": 10_000,
    "frame_burst": 10_000,
    "handshake_timeout": 20,
    "connect_timeout": 60,
    "initialize_timeout": 60,
    "ping_interval": 20,
    "ping_timeout": 20,
    "trusted_proxies": "127.0.0.1/32",
    "allowed_origins": "*",
    "log_level": "info",
}


@dataclass
class ReplicaPair:
    """What runs. `backend` speaks to any replica's `/v1/*`."""

    vendor: Emulator
    redis: RedisServer
    replicas: list[Gateway]
    variables: dict[str, Any]
    backend: httpx.AsyncClient
    numbers: itertools.count[int]

    @property
    def ports(self) -> list[int]:
        """Where the replicas listen."""
        return [replica.port for replica in self.replicas]

    async def mint(self, base: str | None = None, **wanted: Any) -> dict[str, Any]:
        """A ticket, as a backend gets it."""
        body = {"subject": f"user-{next(self.numbers)}", "call_type": "chat", "ttl": 300} | wanted
        answer = await self.backend.post(f"{base or self.replicas[0].base}/v1/tickets", json=body)
        assert answer.status_code == 201, answer.text
        minted: dict[str, Any] = answer.json()
        return minted

    async def start(self, number: int) -> Gateway:
        """Start a replica anew, where it was."""
        port = self.replicas[number].port
        self.replicas[number] = Gateway(self.vendor.url, **{**self.variables, "port": port})
        await self.replicas[number].start()
        await self.ready(number)
        return self.replicas[number]

    async def ready(self, number: int) -> None:
        """Wait until a replica takes sessions; a busy machine takes its time to start one."""
        assert await until(lambda: self.readyz(number), within=90, every=0.1) == 200

    async def readyz(self, number: int) -> int:
        """The status of a replica's `/readyz`; 0 while nobody listens there, or it is not ready."""
        try:
            status = (await self.backend.get(f"{self.replicas[number].base}/readyz")).status_code
        except httpx.TransportError:
            process = self.replicas[number].process
            assert process is not None
            assert process.returncode is None, self.replicas[number].log
            return 0
        return status if status == 200 else 0

    async def rows(self, of: int) -> list[dict[str, Any]]:
        """The live sessions that a replica lists, of all replicas."""
        answer = await self.backend.get(f"{self.replicas[of].base}/v1/sessions?limit=500")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["sessions"]
        return found

    async def row_of(self, subject: str) -> dict[str, Any]:
        """The one live session of a subject, whatever else is still live, once it is listed."""

        async def listed() -> list[dict[str, Any]]:
            return [row for row in await self.rows(0) if row["subject"] == subject]

        [row] = await until(listed)
        found: dict[str, Any] = row
        return found

    async def none_left(self) -> None:
        """Wait until no session is live, of whatever test."""

        async def is_empty() -> bool:
            return not await self.rows(0)

        await until(is_empty)

    async def backend_sees(self, least: int) -> bool:
        """Whether so many sessions are live."""
        return len(await self.rows(0)) >= least

    async def owner(self, session: str) -> int:
        """Which replica has this session: its log tells of its start."""

        def started() -> list[int]:
            logs = enumerate(replica.lines("session_started") for replica in self.replicas)
            return [n for n, lines in logs if any(line["session"] == session for line in lines)]

        found: list[int] = await until(started)
        return found[-1]

    async def violations(self) -> list[str]:
        """What the vendor says that the gateway did wrong."""
        return await self.vendor.violations()


@asynccontextmanager
async def replica_pair(
    directory: Path, *, replicas: int = 2, ports: Sequence[int] = (), **variables: Any
) -> AsyncIterator[ReplicaPair]:
    """Everything, for the time of a block."""
    redis = RedisServer(directory / "redis", durable=True)
    given = {**ROOMY, "state_url": redis.url, **variables}
    async with AsyncExitStack() as stack:
        stack.enter_context(redis)
        vendor = await stack.enter_async_context(emulator())
        headers = {"authorization": f"Bearer {SERVICE_TOKEN}"}
        client = httpx.AsyncClient(headers=headers, trust_env=False, timeout=30)
        backend = await stack.enter_async_context(client)
        taken = [*ports, *(free_port() for _ in range(replicas - len(ports)))]
        running = [Gateway(vendor.url, **{**given, "port": port}) for port in taken]
        it = ReplicaPair(vendor, redis, running, given, backend, itertools.count(1))
        stack.push_async_callback(_stop, it)
        for replica in running:
            await replica.start()
        for number in range(len(running)):
            await it.ready(number)
        yield it


async def _stop(it: ReplicaPair) -> None:
    """End the replicas, all at once."""
    await asyncio.gather(*(replica.stop() for replica in it.replicas))


@dataclass(frozen=True)
class Script:
    """One conversation's script: `count` numbered texts from the agent, `rate` a second, and as
    many `texts` from the browser; with every `tool_every`-th text a tool is called.
    """

    count: int = 40
    rate: float = 30.0
    texts: int = 30
    tool_every: int = 8
    tool: str = "check_order_status"

    def settings(self, marker: str) -> dict[str, Any]:
        """The ticket's data that the emulator's `counter` runs by."""
        return {
            "agent": "counter",
            "marker": marker,
            "count": self.count,
            "rate": self.rate,
            "expect": self.texts,
            "toolEvery": self.tool_every,
            "tool": self.tool,
            "toolTimeout": 90.0,
        }


def numbered(
    it: ReplicaPair,
    marker: str,
    script: Script,
    base: Callable[[], str],
    dice: random.Random,
    *,
    may_end: asyncio.Event | None = None,
    **pinned: Any,
) -> ResumingBrowser:
    """A browser that will talk by a script, and come in by the URLs that `base` gives.

    Its conversation does not end before `may_end` is set, if that is given.
    """
    tries = itertools.count(1)

    async def dial() -> str:
        async def minted() -> dict[str, Any] | None:
            replica = dice.choice(it.replicas)
            data = script.settings(f"{marker}.{next(tries)}")
            try:
                return await it.mint(replica.base, additional_data=data, **pinned)
            except (httpx.HTTPError, AssertionError):
                return None  # this replica is away: a backend asks another one

        return f"{base()}/ws?ticket={quote((await until(minted, within=60, every=0.1))['ticket'])}"

    pace = script.count / script.rate / max(1, script.texts)
    return ResumingBrowser(
        marker, base, dial, texts=script.texts, pace=pace, dice=dice, may_end=may_end
    )


async def crowd(
    size: int, begin: Callable[[int], ResumingBrowser], goes_on: Callable[[int], bool]
) -> list[Story]:
    """Keep `size` conversations running, a new one for each that ends, while `goes_on(number)`."""
    stories: list[Story] = []
    numbers = itertools.count()

    async def seat() -> None:
        while goes_on(number := next(numbers)):
            stories.append(await begin(number).run())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(size):
            tasks.create_task(seat())
    return stories
