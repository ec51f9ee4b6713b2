"""A load generator with a book of its own, and a killer of replicas, to compare usage with.

The book holds bounds: a conversation begins between its dial and its first frame. It ends between
its `terminate` and the close of its socket, or, where its replica is killed, between the signal and
the death of the process. What usage tells has to lie between them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.support.browser import native_socket
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.replicas.pair import ReplicaPair

CUT = (OSError, httpx.HTTPError, WebSocketException, EOFError, AssertionError)
TICK = 0.02


@dataclass
class Entry:
    """One conversation, as its browser saw it; times are of the monotonic clock."""

    tenant: str
    subject: str
    replica: int
    dialled: float
    session: str
    began: float
    heard: float
    asked: float | None = None
    ended: float = 0.0
    code: int = 0
    said: int = 0


@dataclass
class Kill:
    """One SIGKILL: the process died between `before` and `after`.

    `stall` is how late this machine ran what was due, in seconds, about that time.
    """

    replica: int
    before: float
    after: float
    stall: float


@dataclass
class Tenant:
    """How a tenant's browsers behave: `lasts` seconds, without end if None."""

    name: str
    token: str
    agent: str
    lasts: tuple[float, float] | None = (1.0, 4.0)


@dataclass
class Book:
    """What was seen. `unsure` are subjects that were cut before their first frame."""

    entries: list[Entry] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)
    unsure: set[str] = field(default_factory=set)
    refused: dict[str, list[float]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def kill_of(self, entry: Entry) -> Kill | None:
        """The kill that this conversation may have ended by."""
        mine = (kill for kill in self.kills if kill.replica == entry.replica)
        return next((kill for kill in mine if kill.after >= entry.dialled), None)

    def end(self, entry: Entry) -> tuple[float, float]:
        """The earliest and latest moment at which a conversation ended."""
        kill = self.kill_of(entry)
        # One that was ended by the gateway lived when it heard the agent last.
        asked = entry.heard if entry.asked is None else entry.asked
        if kill is None or kill.before > entry.ended:
            # Only who asked, or was told a code, has ended without a kill.
            assert entry.asked is not None or entry.code == 4429, entry
            return asked, entry.ended
        earliest = kill.before if entry.asked is None else min(asked, kill.before)
        return earliest, min(entry.ended, kill.after)

    def error(self, entry: Entry, seconds: float) -> float:
        """By how much usage tells less (negative) or more than can be."""
        earliest, latest = self.end(entry)
        too_long = seconds - (latest - entry.dialled)
        too_short = seconds - (earliest - entry.began)
        return max(0.0, too_long) + min(0.0, too_short)

    def seen(self, entry: Entry) -> tuple[float, ...]:
        """For a report: the width of the bounds, and how long before the kill it asked to end."""
        kill, (earliest, latest) = self.kill_of(entry), self.end(entry)
        asked = 0.0 if kill is None or entry.asked is None else kill.before - entry.asked
        return round(latest - earliest, 3), round(asked, 3)

    def most_at_once(self, tenant: str) -> int:
        """How many of a tenant's conversations certainly lived at one time."""
        changes: list[tuple[float, int]] = []
        for entry in self.entries:
            if entry.tenant == tenant and (end := self.end(entry)[0]) > entry.began:
                changes += [(entry.began, 1), (end, -1)]
        return max(itertools.accumulate(change for _, change in sorted(changes)), default=0)


class StallWatch:
    """Measures how late the event loop of this process is: a busy machine lets all wait."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            now = time.monotonic()
            self._seen.append((now, now - due))

    def worst(self, since: float) -> float:
        """The worst delay since a moment."""
        return max((late for at, late in self._seen if at >= since), default=0.0)


@dataclass
class Load:
    """Conversations of `tenants` on two replicas until `over` is set."""

    pair: ReplicaPair
    seed: int
    book: Book = field(default_factory=Book)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    watch: StallWatch = field(default_factory=StallWatch)

    def dice(self, name: object) -> random.Random:
        """Random numbers that depend on the seed and a name alone."""
        return random.Random(f"{self.seed}.{name}")  # noqa: S311 - a test's dice

    async def seat(self, number: int, tenant: Tenant, client: httpx.AsyncClient) -> None:
        """One conversation after the other."""
        dice = self.dice(number)
        await asyncio.sleep(dice.uniform(0, 1.0))
        for count in itertools.count():
            if self.over.is_set():
                return
            subject = f"{tenant.name}-{number}.{count}"
            if not await self._one(tenant, subject, dice, client):
                await asyncio.sleep(dice.uniform(0.1, 0.5))

    async def _one(
        self, tenant: Tenant, subject: str, dice: random.Random, client: httpx.AsyncClient
    ) -> bool:
        """Have one conversation on a replica that is there; False if there was none."""
        replica, book = dice.randrange(len(self.pair.replicas)), self.book
        lasts = None if tenant.lasts is None else dice.uniform(*tenant.lasts)
        try:
            url = await self._entered(tenant, subject, replica, client)
            dialled = time.monotonic()
            socket = await native_socket(url, self.pair.replicas[replica].base)
            first = json.loads(await asyncio.wait_for(socket.recv(), 30))
        except CUT:
            book.unsure.add(subject)
            return False
        now = time.monotonic()
        if first["type"] == "error":
            assert first["data"]["code"] == 4429, first
            book.refused.setdefault(tenant.name, []).append(now)
            book.messages[tenant.name] = first["data"]["message"]
            await socket.close()
            return False
        assert first["name"] == "relay.session", first
        session = first["data"]["sessionId"]
        entry = Entry(tenant.name, subject, replica, dialled, session, now, now)
        book.entries.append(entry)
        try:
            await self._talk(entry, socket, None if lasts is None else now + lasts)
        except ConnectionClosed as closed:
            entry.ended = time.monotonic()
            entry.code = 0 if closed.rcvd is None else closed.rcvd.code
        return True

    async def _entered(
        self, tenant: Tenant, subject: str, replica: int, client: httpx.AsyncClient
    ) -> str:
        chosen = self.pair.replicas[replica]
        answer = await client.post(
            f"{chosen.base}/v1/tickets",
            json={"subject": subject, "ttl": 300},
            headers={"authorization": f"Bearer {tenant.token}"},
        )
        assert answer.status_code == 201, answer.text
        return f"{chosen.ws}/ws?call_type=chat&ticket={quote(answer.json()['ticket'])}"

    async def _talk(self, entry: Entry, socket: Any, until_then: float | None) -> None:
        while not self.over.is_set() and (until_then is None or time.monotonic() < until_then):
            await socket.send(json.dumps({"type": "incomingChatMessage", "content": "hello"}))
            entry.said += 1
            left = 1.0 if until_then is None else until_then - time.monotonic()
            await _read(socket, min(left, 1.0), entry)
        entry.asked = time.monotonic()
        await socket.send('{"type":"terminate"}')
        await _read(socket, 60, entry)
        raise AssertionError("nothing ends after `terminate`")

    async def kills(self, count: int, pause: tuple[float, float], tasks: asyncio.TaskGroup) -> None:
        """Kill a random replica `count` times at random moments; start each again.

        The last one starts in `tasks`, while conversations go on for a moment.
        """
        dice = self.dice("kills")
        for left in reversed(range(count)):
            await asyncio.sleep(dice.uniform(*pause))
            victim = dice.randrange(len(self.pair.replicas))
            before = time.monotonic()
            await self.pair.replicas[victim].kill()
            after = time.monotonic()
            stall = self.watch.worst(before - 1.0)
            self.book.kills.append(Kill(victim, before, after, stall))
            await asyncio.sleep(dice.uniform(0, 0.5))
            starting = tasks.create_task(self.pair.start(victim))
            if left:
                await starting


async def _read(socket: Any, seconds: float, entry: Entry) -> None:
    """Read what comes for some time; note when the agent was heard."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            frame = json.loads(await asyncio.wait_for(socket.recv(), left))
        except TimeoutError:
            return
        if frame["type"] == "text":
            entry.heard = time.monotonic()


async def run_load(
    load: Load,
    seats: dict[int, Tenant],
    kills: Callable[[asyncio.TaskGroup], Any],
    begun: Callable[[], bool],
) -> None:
    """Fill the seats, kill once `begun` says so, then let every conversation end."""
    limits = httpx.Limits(max_connections=40, max_keepalive_connections=40)
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30, limits=limits) as client,
        asyncio.TaskGroup() as tasks,
    ):
        watching = tasks.create_task(load.watch.run())
        sitting = [
            tasks.create_task(load.seat(number, tenant, client)) for number, tenant in seats.items()
        ]
        await until(begun, within=90)
        async with asyncio.TaskGroup() as restarts:
            await kills(restarts)
            load.over.set()
            await asyncio.wait(sitting)
        watching.cancel()
