"""Usage and budgets on two replicas, against the book of a load generator."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
import random
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import NATIVE, browser
from tests.support.gateway import AGENTS
from tests.support.plain import plain_client
from tests.support.postgres import Postgres
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKENS = {"acme": "canary-acme-token-1", "globex": "canary-globex-token-1"}
POOR = "canary-poor-token-1"
TENANTS = {
    "acme": {"service_tokens": [TOKENS["acme"]], "agents": ["acme-chat"], "prices": {"chat": 3.0}},
    "globex": {"service_tokens": [TOKENS["globex"]], "agents": ["globex-chat"]},
    "poor": {
        "service_tokens": [POOR],
        "agents": ["poor-chat"],
        "minutes_per_day": 4 / 60,
        "budget_grace": 2,
    },
}
PROFILES = dict.fromkeys(("default", "acme-chat", "globex-chat", "poor-chat"), AGENTS["echo"])
SIZE = 200
# The product's figure in seconds, and how much later a busy machine may notice anything.
EXACT, SLACK = 1.0, 2.0
CUT = (OSError, httpx.HTTPError, WebSocketException, EOFError, AssertionError)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    """Two replicas for this module, with one history."""
    directory = tmp_path_factory.mktemp("usage")
    with Postgres() as postgres:
        async with replica_pair(
            directory,
            agents=PROFILES,
            tenants=TENANTS,
            usage_prices={"chat": 1.0},
            history_url=await postgres.database(),
            max_sessions_per_ip=5000,
            tools=None,
        ) as it:
            yield it


def api(pair: ReplicaPair, token: str, replica: int) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token}"}
    return plain_client(pair.replicas[replica].base, headers=headers)


async def usage(pair: ReplicaPair, token: str, replica: int = 1, **query: str) -> Any:
    async with api(pair, token, replica) as backend:
        answer = await backend.get("/v1/usage", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


async def entered(pair: ReplicaPair, token: str, replica: int, **wanted: Any) -> str:
    """The URL of a new conversation."""
    async with api(pair, token, replica) as backend:
        answer = await backend.post("/v1/tickets", json={"subject": "someone", **wanted})
    assert answer.status_code == 201, answer.text
    return f"{pair.replicas[replica].ws}/ws?call_type=chat&ticket={quote(answer.json()['ticket'])}"


# Budgets


async def test_a_used_up_budget_refuses_and_ends(pair: ReplicaPair) -> None:
    origin = pair.replicas[0].base
    began = time.monotonic()
    async with browser(await entered(pair, POOR, 0), native=True, origin=origin) as user:
        await user.connected()

        async def refused() -> dict[str, Any] | None:
            url = await entered(pair, POOR, 1, subject=f"other-{time.monotonic_ns()}")
            here = pair.replicas[1].base
            async with browser(url, native=True, origin=here) as other:
                frame = await other.read()
                if frame["type"] == "error":
                    data: dict[str, Any] = frame["data"]
                    return data
                await other.terminate()
                return None

        error = await until(refused, within=20, every=0.3)
        assert error["code"] == 4429
        assert 0 < error["retryAfter"] <= 86_400
        assert "budget" in error["message"]
        told, code = await user.refused()
        assert (code, told["code"]) == (4429, 4429)
        assert time.monotonic() - began > 3, "it had its grace"
    warnings = [
        (line["period"], line["percent"])
        for replica in pair.replicas
        for line in replica.lines("budget_reached")
    ]
    assert sorted(warnings) == [("day", 80), ("day", 100)], "once for both replicas"
    used = await pair.replicas[0].metric(
        'relay_tenant_budget_used_ratio{period="day",tenant="poor"}'
    )
    assert used >= 1


# The load generator and its book


@dataclass
class Entry:
    """One conversation, as its browser saw it; times are of the monotonic clock.

    The gateway admits it between `dialled` and `began`, its first frame.
    """

    tenant: str
    subject: str
    replica: int
    dialled: float
    began: float
    ended: float = 0.0
    said: int = 0

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def error(self, seconds: float) -> float:
        """By how much usage tells more (or less) than can be."""
        longest = self.ended - self.dialled
        return max(0.0, seconds - longest) + min(0.0, seconds - self.seconds)


async def one(
    pair: ReplicaPair, number: int, dice: random.Random, book: list[Entry], unsure: set[str]
) -> None:
    """One conversation of some seconds, on any replica that is there.

    `unsure` gets the subject of one that was cut before its first frame: it may have begun.
    """
    tenant = dice.choice(list(TOKENS))
    tries = itertools.count()
    await asyncio.sleep(dice.uniform(0, 1.5))
    while True:
        replica, subject = dice.randrange(2), f"s{number}.{next(tries)}"
        try:
            url = await entered(pair, TOKENS[tenant], replica, subject=subject)
            dialled = time.monotonic()
            socket = await connect(
                url,
                subprotocols=[NATIVE],  # type: ignore[list-item]
                proxy=None,
                compression=None,
                ping_interval=None,
                open_timeout=30,
                origin=pair.replicas[replica].base,  # type: ignore[arg-type]
            )
            first = json.loads(await asyncio.wait_for(socket.recv(), 30))
        except CUT:
            unsure.add(subject)
            await asyncio.sleep(0.1)
            continue
        assert first["name"] == "relay.session", first
        break
    entry = Entry(tenant, subject, replica, dialled, time.monotonic())
    book.append(entry)
    until_then = entry.began + dice.uniform(1.0, 4.0)
    try:
        while (left := until_then - time.monotonic()) > 0:
            await socket.send(json.dumps({"type": "incomingChatMessage", "content": "hello"}))
            entry.said += 1
            pause = time.monotonic() + min(left, 0.7)
            while (rest := pause - time.monotonic()) > 0:
                try:
                    await asyncio.wait_for(socket.recv(), rest)
                except TimeoutError:
                    break
        await socket.send('{"type":"terminate"}')
        while True:
            await asyncio.wait_for(socket.recv(), 30)
    except ConnectionClosed:
        entry.ended = time.monotonic()


async def test_usage_equals_the_load_generators_book(pair: ReplicaPair) -> None:
    """200 conversations at once, while each replica is killed and comes back."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    book: list[Entry] = []
    unsure: set[str] = set()
    seats = [
        asyncio.create_task(one(pair, number, random.Random(f"{seed}.{number}"), book, unsure))  # noqa: S311
        for number in range(SIZE)
    ]
    victim = dice.randrange(2)
    await until(lambda: len(book) >= SIZE // 2, within=60)
    await asyncio.sleep(dice.uniform(0, 1.5))
    lost = [entry for entry in book if not entry.ended]
    await pair.replicas[victim].kill()
    await asyncio.gather(*seats)
    await pair.start(victim)

    async def counted() -> list[dict[str, Any]] | None:
        rows: list[dict[str, Any]] = []
        for token in TOKENS.values():
            rows += await usage(pair, token, 1 - victim, group="subject")
        rows = [row for row in rows if row["subject"] not in unsure]
        return rows if len(rows) >= len(book) else None

    rows = await until(counted, within=30, every=0.5)
    # A conversation whose end was lost lasts until its replica counts as gone.
    await asyncio.sleep(max(0.0, 5.5 - (time.monotonic() - max(e.ended for e in book))))
    rows = await counted() or []
    mine = {(row["tenant"], row["subject"]): row for row in rows}
    assert len(rows) == len(mine) == len(book)
    assert all(row["sessions"] == 1 for row in rows)
    errors = {
        entry.subject: entry.error(60 * mine[entry.tenant, entry.subject]["minutes"]["chat"])
        for entry in book
    }
    survivors = [entry for entry in book if entry.replica != victim]
    assert all(mine[e.tenant, e.subject]["messages"] >= e.said for e in survivors)
    worst = sorted(errors.values(), key=abs)[-5:]
    print(f"{len(book)} conversations, {len(lost)} alive at the kill; off by (worst) {worst}")
    assert all(abs(error) < EXACT + SLACK for error in errors.values()), worst
    operators = await usage(pair, pair.backend.headers["authorization"][7:], group="tenant")
    sums = {row["tenant"]: row for row in operators}
    for tenant, price in (("acme", 3.0), ("globex", 1.0)):
        entries = [entry for entry in book if entry.tenant == tenant]
        assert sums[tenant]["sessions"] == len(entries)
        minutes = sums[tenant]["minutes"]["chat"]
        least, most = (
            sum(entry.seconds for entry in entries),
            sum(entry.ended - entry.dialled for entry in entries),
        )
        slack = (EXACT + SLACK) * len(entries)
        assert least - slack < 60 * minutes < most + slack
        assert sums[tenant]["cost"] == pytest.approx(minutes * price, abs=0.01)


async def test_usage_comes_as_csv_and_for_a_time(pair: ReplicaPair) -> None:
    async with api(pair, TOKENS["acme"], 0) as backend:
        answer = await backend.get(
            "/v1/usage", params={"group": "agent"}, headers={"accept": "text/csv"}
        )
        empty = await backend.get("/v1/usage", params={"from": "2020-01-01", "to": "2020-02-01"})
        foreign = await backend.get("/v1/usage", params={"tenant": "globex"})
        faulty = await backend.get("/v1/usage", params={"from": "yesterday"})
    assert answer.headers["content-type"].startswith("text/csv")
    [row] = csv.DictReader(io.StringIO(answer.text))
    assert (row["agent"], row["tenant"]) == ("acme-chat", "acme")
    assert int(row["sessions"]) > 0
    assert float(row["minutes_chat"]) > 0
    assert float(row["minutes_onPhone"]) == 0
    assert empty.json()["rows"] == []
    assert empty.json()["from"] == "2020-01-01T00:00:00.000+00:00"
    assert [each["tenant"] for each in foreign.json()["rows"]] == ["acme"]
    assert faulty.status_code == 422
