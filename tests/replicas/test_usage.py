"""Usage and budgets on two replicas, against the book of a load generator."""

from __future__ import annotations

import asyncio
import csv
import io
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from app.history.usage import LIVING
from tests.replicas.pair import ReplicaPair, replica_pair
from tests.replicas.usage_book import Book, Entry, Load, Tenant, run_load
from tests.support.browser import browser
from tests.support.gateway import AGENTS
from tests.support.plain import plain_client
from tests.support.postgres import Postgres
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Browsers at once, and what usage may be off by, in seconds.
SIZE, EXACT = 200, 1.0
# A bound, of which twice as many browsers want to be; browsers that spend a budget, in seconds.
CAP, THRIFTY, BUDGET = 6, 12, 20.0

pytestmark = pytest.mark.asyncio(loop_scope="module")

TENANTS_OF_LOAD = ("acme", "globex", "capped", "thrifty")
TOKENS = {name: f"canary-{name}-token-1" for name in TENANTS_OF_LOAD}
POOR = "canary-poor-token-1"
TENANTS = {
    "acme": {"service_tokens": [TOKENS["acme"]], "agents": ["acme-chat"], "prices": {"chat": 3.0}},
    "globex": {"service_tokens": [TOKENS["globex"]], "agents": ["globex-chat"]},
    "capped": {
        "service_tokens": [TOKENS["capped"]],
        "agents": ["capped-chat"],
        "max_sessions": CAP,
    },
    "thrifty": {
        "service_tokens": [TOKENS["thrifty"]],
        "agents": ["thrifty-chat"],
        "minutes_per_day": BUDGET / 60,
        "budget_grace": 2,
    },
    "poor": {
        "service_tokens": [POOR],
        "agents": ["poor-chat"],
        "minutes_per_day": 4 / 60,
        "budget_grace": 2,
    },
}
PROFILES = dict.fromkeys(
    ("default", "poor-chat", *(f"{name}-chat" for name in TENANTS_OF_LOAD)), AGENTS["echo"]
)


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

        error = await until(refused, within=60, every=0.3)
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


# The load generator's book


def seats_of(size: int) -> dict[int, Tenant]:
    """So many browsers: most of two tenants, some of one with a bound, some with a budget."""
    acme, globex, capped, thrifty = (
        Tenant(name, TOKENS[name], f"{name}-chat", lasts)
        for name, lasts in (
            ("acme", (1.0, 4.0)),
            ("globex", (1.0, 4.0)),
            ("capped", (1.0, 4.0)),
            ("thrifty", None),
        )
    )
    others = dict(enumerate([capped] * (2 * CAP) + [thrifty] * THRIFTY))
    rest = range(len(others), size)
    return others | {number: (acme, globex)[number % 2] for number in rest}


async def by_subject(pair: ReplicaPair, book: Book) -> dict[tuple[str, str], dict[str, Any]]:
    """What usage tells of every conversation in the book."""
    expected = {(entry.tenant, entry.subject) for entry in book.entries}

    async def rows() -> dict[tuple[str, str], dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for tenant in TENANTS_OF_LOAD:
            found += await usage(pair, TOKENS[tenant], 0, group="subject")
        assert all(row["sessions"] == 1 for row in found)
        counted = {(row["tenant"], row["subject"]): row for row in found}
        assert len(counted) == len(found)
        return counted

    async def complete() -> bool:
        return expected <= (await rows()).keys()

    await until(complete, within=60, every=0.5)
    # A conversation whose end was lost counts as living until its replica counts as gone.
    gone = max((kill.after for kill in book.kills), default=0.0) + LIVING
    await asyncio.sleep(max(0.0, gone + 0.5 - time.monotonic()))
    counted = await rows()
    unsure = {subject for _, subject in counted.keys() - expected}
    assert unsure <= book.unsure, "nothing is counted that nobody began"
    return {key: counted[key] for key in expected}


async def peeks(load: Load) -> None:
    """One tenant's token asks for the other's conversations, on both replicas, under the load."""
    pair, dice, asked = load.pair, load.dice("peeks"), 0
    async with plain_client(headers={"authorization": f"Bearer {TOKENS['acme']}"}) as acme:
        while not load.over.is_set():
            await asyncio.sleep(0.1)
            others = [entry for entry in load.book.entries if entry.tenant == "globex"]
            if not others:
                continue
            session = dice.choice(others[-50:]).session
            method, path = dice.choice(
                [
                    ("GET", "sessions/{}"),
                    ("DELETE", "sessions/{}"),
                    ("GET", "sessions/{}/watch"),
                    ("POST", "sessions/{}/messages"),
                    ("GET", "conversations/{}"),
                    ("GET", "conversations/{}/transcript"),
                ]
            )
            body = {"content": "x", "as": "notice"} if method == "POST" else None
            base = dice.choice(pair.replicas).base
            try:
                url = f"{base}/v1/{path.format(session)}"
                answer = await acme.request(method, url, json=body, timeout=30)
            except httpx.TransportError:
                continue  # this replica was killed
            assert answer.status_code == 404, (method, path, answer.text)
            asked += 1
    assert asked, "one request at least was answered"


def hold(book: Book, rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    """Usage is as the book says: each conversation once, within `EXACT` seconds."""
    errors: list[tuple[float, Entry]] = []
    for entry in book.entries:
        row = rows[entry.tenant, entry.subject]
        kill = book.kill_of(entry)
        error = book.error(entry, 60 * row["minutes"]["chat"])
        # A machine that ran nothing for a time ran no replica, either.
        stall = 0.0 if kill is None or kill.before > entry.ended else kill.stall
        errors.append((max(0.0, abs(error) - stall), entry))
        if kill is None:
            assert row["messages"] >= entry.said
    errors.sort(key=lambda pair: pair[0])
    cut = sum(1 for entry in book.entries if entry.asked is None)
    told = [(round(error, 3), *book.seen(entry)) for error, entry in errors[-5:]]
    stalls = [round(kill.stall, 2) for kill in book.kills]
    print(f"{len(errors)} conversations, {cut} were cut; off by (worst) {told}; stalls {stalls}")
    assert errors[-1][0] < EXACT, errors[-1]


def hold_bounds(book: Book) -> None:
    """A tenant's bound and budget, over both replicas and all kills."""
    assert book.refused["capped"], "more came than may be"
    assert 0 < book.most_at_once("capped") <= CAP
    assert "budget" in book.messages["thrifty"]
    first = min(book.refused["thrifty"])
    mine = [entry for entry in book.entries if entry.tenant == "thrifty"]
    spent = sum(min(first, entry.ended) - entry.dialled for entry in mine)
    assert spent >= BUDGET, "it was used up when one was refused"
    assert all(entry.dialled < first for entry in mine), "none is let in after that"
    assert all(book.kill_of(entry) for entry in mine if entry.code != 4429), "live ones were ended"


@pytest.mark.parametrize(
    ("kills", "pause"),
    [
        pytest.param(2, (0.2, 1.0), id="short"),
        pytest.param(20, (0.5, 4.0), id="long", marks=pytest.mark.nightly),
    ],
)
async def test_usage_equals_the_load_generators_book(
    pair: ReplicaPair, kills: int, pause: tuple[float, float]
) -> None:
    """200 conversations at once, while replicas are killed at random moments and come back."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    load = Load(pair, seed)
    book = load.book

    def begun() -> bool:
        return sum(not entry.ended for entry in book.entries) >= SIZE // 2

    def bounds_met() -> bool:
        return "capped" in book.refused and "thrifty" in book.messages

    async def killed(restarts: asyncio.TaskGroup) -> None:
        await load.kills(kills, pause, restarts)
        await until(bounds_met, within=60)  # however quick the kills were

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(peeks(load))
        await run_load(load, seats_of(SIZE), killed, begun)
    hold(book, await by_subject(pair, book))
    hold_bounds(book)
    operators = await usage(pair, pair.backend.headers["authorization"][7:], group="tenant")
    sums = {row["tenant"]: row for row in operators}
    for tenant, price in (("acme", 3.0), ("globex", 1.0)):
        sure = sum(entry.tenant == tenant for entry in book.entries)
        unsure = sum(subject.startswith(f"{tenant}-") for subject in book.unsure)
        assert sure <= sums[tenant]["sessions"] <= sure + unsure
        cost = sums[tenant]["minutes"]["chat"] * price
        assert sums[tenant]["cost"] == pytest.approx(cost, abs=0.01)


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
