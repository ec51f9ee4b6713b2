"""A process of many simulated replicas: the product's state code, few connections, no browsers."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import resource
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvloop

from app.protocol.errors import StoreUnavailable
from app.state.redis import RedisState, Timings
from tests.scale.backend import PipelinedBackend
from tests.scale.beats import SharedConnector
from tests.scale.plan import CAPS, Plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from multiprocessing.connection import Connection

    from app.state.interface import SessionRow
    from tests.scale.plan import Ask

AT_ONCE: Final = 250
"""Entries under way in one process."""

PAUSE: Final = 0.02
"""Seconds until it is looked again whether a replica has beaten, where all are late."""

PATIENCE: Final = 60.0
"""Seconds that a command may take: the machine is shared, and the load is as high as it can be."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a process is started for."""

    number: int
    workers: int
    url: str
    port: int
    replicas: int
    size: int
    lease: float
    refresh: float


@dataclass(eq=False)
class SimulatedReplica:
    """One replica: its state, and the sessions that it has let in."""

    name: str
    state: RedisState
    connector: SharedConnector
    rows: dict[str, SessionRow] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, refresh: float) -> None:
        self.tasks.append(asyncio.create_task(self.state.run()))
        self.tasks.append(asyncio.create_task(self._keep(refresh)))

    def die(self) -> None:
        """Do nothing any more, without a word."""
        for task in self.tasks:
            task.cancel()

    async def _keep(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval * (0.5 + secrets.randbelow(1000) / 1000))
            try:
                await self.state.refresh(list(self.rows.values()))
            except StoreUnavailable:
                continue


class Worker:
    """Carries out what the parent asks."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._entries = PipelinedBackend(orders.port)
        self._beats = PipelinedBackend(orders.port)
        self._asks: Iterator[Ask] = Plan(orders.size).share(orders.number, orders.workers)
        self._replicas: list[SimulatedReplica] = []
        self._turns: Iterator[SimulatedReplica] = iter(())
        self._answers: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._worst = 0.0
        self._paused = 0.0

    async def start(self) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        await self._entries.connect()
        await self._beats.connect()
        orders = self._orders
        timings = Timings(timeout=PATIENCE, lease=orders.lease)
        for number in range(orders.number, orders.replicas, orders.workers):
            name = f"replica{number}"
            connector = SharedConnector(orders.url, self._entries, self._beats)
            state = RedisState(
                orders.url,
                name,
                timings=timings,
                connections=AT_ONCE,
                on_error=self._count_error,
                connector=connector,
            )
            replica = SimulatedReplica(name, state, connector)
            replica.start(orders.refresh)
            self._replicas.append(replica)
        self._turns = itertools.cycle(self._replicas)
        self._watch = asyncio.create_task(self._watch_loop())

    async def fill(self, count: int, seconds: float) -> dict[str, Any]:
        """Let the next `count` ask, or as many as do within the time."""
        gc.freeze()  # no gateway has as many sessions as this process: they are not looked through
        asks = self._next_asks(count, time.monotonic() + seconds)
        await asyncio.gather(*(self._enter(asks) for _ in range(AT_ONCE)))
        return self.figures()

    async def replace(self, count: int) -> dict[str, Any]:
        """End sessions, and let the same persons enter again: as many as have left."""
        ended = list(itertools.islice(self._in_turn(), count))
        await self._each(ended, self._leave)
        await self._each(ended, self._again)
        return self.figures()

    async def lose(self, count: int) -> dict[str, Any]:
        """Let replicas die; say how many sessions they had."""
        dead, self._replicas = self._replicas[:count], self._replicas[count:]
        self._turns = itertools.cycle(self._replicas)
        for replica in dead:
            replica.die()
        return {"lost": sum(len(replica.rows) for replica in dead)}

    async def end(self, seconds: float) -> dict[str, Any]:
        """End sessions until none is left or the time is over."""
        until = time.monotonic() + seconds
        rows = itertools.takewhile(lambda _: time.monotonic() < until, self._in_turn())
        await self._each(rows, self._leave)
        return self.figures()

    async def held(self) -> dict[str, Any]:
        """How many sessions of each subject and address are in."""
        rows = [row for replica in self._replicas for row in replica.rows.values()]
        return {
            "subjects": Counter(row.subject for row in rows),
            "addresses": Counter(row.address for row in rows),
            "rare": sum(row.agent == "rare" for row in rows),
        }

    def figures(self) -> dict[str, Any]:
        worst, self._worst = self._worst, 0.0
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "sessions": sum(len(replica.rows) for replica in self._replicas),
            "answers": dict(self._answers),
            "errors": dict(self._errors),
            "cpu": usage.ru_utime + usage.ru_stime,
            "memory": usage.ru_maxrss * 1024,
            "loop_lag": round(worst, 3),
            "late": sum(each.connector.is_late(self._orders.lease) for each in self._replicas),
            "paused": round(self._paused, 1),
        }

    async def _enter(self, asks: Iterator[Ask]) -> None:
        for ask in asks:
            replica = await self._next()
            await self._admit(replica, ask.row(secrets.token_hex(16), replica.name))

    def _next_asks(self, count: int, until: float) -> Iterator[Ask]:
        for _ in range(count):
            ask = None if time.monotonic() > until else next(self._asks, None)
            if ask is None:
                return
            yield ask

    async def _next(self) -> SimulatedReplica:
        """The next replica whose beats are on time: one that is late lets in no one."""
        while True:
            for replica in itertools.islice(self._turns, len(self._replicas)):
                if not replica.connector.is_late(self._orders.lease):
                    return replica
            self._paused += PAUSE / AT_ONCE
            await asyncio.sleep(PAUSE)

    async def _admit(self, replica: SimulatedReplica, row: SessionRow) -> None:
        try:
            refused = await replica.state.enter(row, CAPS)
        except StoreUnavailable:
            self._answers["unavailable"] += 1
            return
        self._answers[refused or "admitted"] += 1
        if refused is None:
            replica.rows[row.id] = row

    async def _leave(self, replica: SimulatedReplica, row: SessionRow) -> None:
        del replica.rows[row.id]
        await replica.state.leave(row)
        self._answers["left"] += 1

    async def _again(self, replica: SimulatedReplica, row: SessionRow) -> None:
        await self._admit(replica, row)

    async def _each(self, rows: Iterable[tuple[SimulatedReplica, SessionRow]], do: Any) -> None:
        remaining = iter(rows)

        async def some() -> None:
            for replica, row in remaining:
                await do(replica, row)

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))

    def _in_turn(self) -> Iterator[tuple[SimulatedReplica, SessionRow]]:
        return (
            (replica, row)
            for replica in list(self._replicas)
            for row in list(replica.rows.values())
        )

    def _count_error(self, operation: str) -> None:
        self._errors[operation] += 1

    async def _watch_loop(self) -> None:
        """How late the loop was at most: a replica that is too late is taken for dead."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.25)
            self._worst = max(self._worst, time.monotonic() - began - 0.25)


def run(orders: Orders, pipe: Connection) -> None:
    """Answer the parent until it ends this process."""
    os.setsid()  # the scheduler's share of a process of its own, whatever else the terminal runs
    uvloop.run(_answer(orders, pipe))


async def _answer(orders: Orders, pipe: Connection) -> None:
    worker = Worker(orders)
    await worker.start()
    pipe.send("ready")
    while True:
        name, *values = await asyncio.to_thread(pipe.recv)
        if name == "figures":
            pipe.send(worker.figures())
        else:
            pipe.send(await getattr(worker, name)(*values))
