"""Everybody at once: tickets raced for by thousands, and caps under a burst of handshakes."""

from __future__ import annotations

import asyncio
import os
import time
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

TICKETS, RACERS = 100, 20
SWITCHING, UNAUTHORIZED, TOO_MANY, UNAVAILABLE = 101, 401, 429, 503
LONGEST = 100.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    """Two replicas for this module."""
    async with replica_pair(
        tmp_path_factory.mktemp("storm"),
        handshake_timeout=LONGEST,
        max_sessions=40,
        max_sessions_per_subject=7,
    ) as it:
        yield it


@dataclass
class Handshake:
    """One, by hand: its connection is open before the gun, and its request goes out at once."""

    replica: Gateway
    ticket: str
    status: int = 0
    retry_after: float = 0.0
    seconds: float = 0.0
    writer: asyncio.StreamWriter | None = None
    reader: asyncio.StreamReader = field(default_factory=asyncio.StreamReader)

    async def connect(self) -> None:
        """Open the connection, and send nothing yet."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.replica.port)

    async def ask(self) -> int:
        """Ask for the upgrade; return the HTTP status."""
        assert self.writer is not None
        begun = time.monotonic()
        key = b64encode(os.urandom(16)).decode()
        self.writer.write(
            f"GET /ws/echo?call_type=chat&ticket={self.ticket} HTTP/1.1\r\nHost: x\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        async with asyncio.timeout(LONGEST):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        self.status = int(head.split()[1])
        for line in head.splitlines():
            if line.startswith("retry-after:"):
                self.retry_after = float(line.partition(":")[2])
        self.seconds = time.monotonic() - begun
        return self.status

    def drop(self) -> None:
        """Let go of the connection."""
        if self.writer is not None:
            self.writer.transport.abort()


async def at_once(shakes: list[Handshake]) -> None:
    """All connections first; then all requests in one turn of the loop."""
    for start in range(0, len(shakes), 200):
        await asyncio.gather(*(shake.connect() for shake in shakes[start : start + 200]))
    await asyncio.gather(*(shake.ask() for shake in shakes))


async def failures(it: ReplicaPair) -> float:
    """How often the replicas say that the store did not answer in time."""
    found = 0.0
    for replica in it.replicas:
        text = (await it.backend.get(f"{replica.base}/metrics")).text
        found += sum(
            float(line.rsplit(" ", 1)[1])
            for line in text.splitlines()
            if line.startswith("relay_state_errors_total{")
        )
    return found


async def test_2000_handshakes_at_once_with_100_tickets_make_100_winners(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with replica_pair(tmp_path_factory.mktemp("race"), handshake_timeout=LONGEST) as it:
        tickets = [(await it.mint())["ticket"] for _ in range(TICKETS)]
        before = await failures(it)
        shakes = [
            Handshake(it.replicas[racer % 2], ticket)
            for racer in range(RACERS)
            for ticket in tickets
        ]
        try:
            await at_once(shakes)
        finally:
            for shake in shakes:
                shake.drop()
        statuses = Counter(shake.status for shake in shakes)
        won = Counter(shake.ticket for shake in shakes if shake.status == SWITCHING)
        times = sorted(shake.seconds for shake in shakes)
        late = await failures(it) - before
        print(
            f"{dict(statuses)}; {len(won)} winners of {TICKETS}, {late:.0f} late answers of the "
            f"store; median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s"
        )
        assert set(won.values()) == {1}, "no ticket is good twice"
        assert statuses == {SWITCHING: TICKETS, UNAUTHORIZED: TICKETS * (RACERS - 1)}
        assert late == 0


async def test_ticket_of_a_refused_handshake_is_good_for_the_next_one(pair: ReplicaPair) -> None:
    replica = pair.replicas[0]
    held = [Handshake(replica, (await pair.mint(subject="full"))["ticket"]) for _ in range(7)]
    await at_once(held)
    assert Counter(shake.status for shake in held) == {SWITCHING: 7}
    ticket = (await pair.mint(subject="full"))["ticket"]
    tries = [Handshake(pair.replicas[number % 2], ticket) for number in range(2)]
    for shake in tries:
        await given_back(shake)
    assert tries[0].retry_after > 0
    for shake in held:
        shake.drop()
    won: list[Handshake] = []

    async def let_in() -> bool:
        shake = Handshake(pair.replicas[1], ticket)
        await at_once([shake])
        tries.append(shake)
        if shake.status == SWITCHING:
            won.append(shake)
        return bool(won)

    await until(let_in, within=60, every=0.5)
    await at_once([again := Handshake(replica, ticket)])
    assert again.status == UNAUTHORIZED, "and then it is used up"
    for shake in (*tries, again):
        shake.drop()
    await empty(pair)


async def given_back(shake: Handshake) -> None:
    """Be refused for the cap: 401 means that the ticket is still on its way back."""

    async def refused() -> bool:
        await at_once([shake])
        shake.drop()
        assert shake.status in {TOO_MANY, UNAUTHORIZED}
        return shake.status == TOO_MANY

    await until(refused, within=30, every=0.2)


async def empty(it: ReplicaPair) -> None:
    """Wait until no session is left on any replica."""

    async def no_rows() -> bool:
        return not await it.rows(0)

    await until(no_rows, within=60, every=0.2)


@pytest.mark.parametrize(
    ("subjects", "cap"), [(200, 40), (1, 7)], ids=["max_sessions", "per_subject"]
)
async def test_burst_of_handshakes_does_not_overshoot_a_cap(
    pair: ReplicaPair, subjects: int, cap: int
) -> None:
    """`max_sessions` is each replica's own; a subject's cap is one for all replicas."""
    shakes = [
        Handshake(
            pair.replicas[number % 2],
            (await pair.mint(subject=f"burst-{number % subjects}"))["ticket"],
        )
        for number in range(200)
    ]
    try:
        await at_once(shakes)
        held = [
            sum(s.status == SWITCHING for s in shakes if s.replica is replica)
            for replica in pair.replicas
        ]
        print(f"{held} of 200 were let in")
        assert held == [cap, cap] if subjects > 1 else sum(held) == cap
        # One subject's burst fills the replica for a moment, too: those places are only reserved.
        assert {s.status for s in shakes} <= {SWITCHING, TOO_MANY, UNAVAILABLE}
        assert all(s.retry_after > 0 for s in shakes if s.status != SWITCHING)
    finally:
        for shake in shakes:
            shake.drop()
    await empty(pair)
    # Every place is free again.
    again = [
        Handshake(pair.replicas[0], (await pair.mint(subject=f"again-{number}"))["ticket"])
        for number in range(40)
    ]
    await at_once(again)
    for shake in again:
        shake.drop()
    assert Counter(shake.status for shake in again) == {SWITCHING: 40}
    await empty(pair)
