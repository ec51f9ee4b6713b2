"""Two workers behind one port, with a store of their own, and with Redis."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
import yaml
from websockets.exceptions import InvalidStatus

from tests.support.browser import Browser, browser
from tests.support.gateway import AGENTS, Emulator, Gateway, emulator, gateway
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = 8
SPREAD = 20
"""So many sessions are on both workers, but for one time in half a million."""


@asynccontextmanager
async def workers(vendor: Emulator, **variables: Any) -> AsyncIterator[Gateway]:
    """Two workers that serve."""
    given = {"workers": 2, "auth": "ticket,open", "allowed_origins": "*", "log_level": "info"}
    async with gateway(vendor.url, **(given | variables)) as it:
        await until(lambda: it.lines("workers_started") and len(it.lines("serving")) >= 2)
        await until(lambda: said_ready(it) >= 2)
        yield it


def said_ready(it: Gateway) -> int:
    return len([line for line in it.log.splitlines() if "Application startup complete" in line])


def pids(it: Gateway) -> dict[int, int]:
    """The newest process of each worker."""
    return {line["worker"]: line["pid"] for line in it.lines("worker_started")}


def children(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in told.split()]


def store_of(it: Gateway) -> int:
    """The process of the store: the one child that is no worker."""
    [found] = set(children(it.pid)) - set(pids(it).values())
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor() -> AsyncIterator[Emulator]:
    async with emulator() as it:
        yield it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    vendor: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """Two workers for the tests that harm none of them."""
    history = tmp_path_factory.mktemp("workers") / "history.sqlite"
    async with workers(
        vendor, max_sessions_per_subject=3, history_url=f"sqlite+aiosqlite:///{history}"
    ) as it:
        yield it


@asynccontextmanager
async def sessions(
    it: Gateway, count: int, agent: str = "echo"
) -> AsyncIterator[dict[str, Browser]]:
    """Chats that have begun, by their id."""
    async with asyncio.TaskGroup() as tasks:
        leaving = asyncio.Event()
        ready: asyncio.Queue[tuple[str, Browser]] = asyncio.Queue()

        async def chat(number: int) -> None:
            ticket = await it.ticket(f"crowd-{number}-{os.urandom(4).hex()}", call_type="chat")
            async with browser(f"{it.ws}/ws/{agent}?ticket={ticket}", native=True) as user:
                ready.put_nowait((await user.connected(), user))
                await leaving.wait()

        for number in range(count):
            tasks.create_task(chat(number))
        found = dict([await ready.get() for _ in range(count)])
        try:
            yield found
        finally:
            leaving.set()


async def listed(it: Gateway) -> dict[str, str]:
    """The replica of each live session."""
    async with it.api() as backend:
        answer = await backend.get("/v1/sessions?limit=500")
    return {row["id"]: row["replica"] for row in answer.json()["sessions"]}


async def test_every_worker_takes_sessions_and_lists_all(shared: Gateway) -> None:
    async with sessions(shared, SPREAD) as live:
        rows = await listed(shared)
        assert live.keys() <= rows.keys()
        assert len(set(rows.values())) == 2
        told = {line["worker"] for line in shared.lines("session_started")}
        assert told == {0, 1}
        for user in live.values():
            assert await user.terminate() == 1000


async def test_metrics_are_those_of_all_workers_whoever_is_asked(shared: Gateway) -> None:
    series = 'relay_sessions{agent="echo",call_type="chat"}'
    ended = 'relay_sessions_total{agent="echo",call_type="chat",close_code="1000"}'

    async def none_left() -> bool:
        return not await listed(shared)

    await until(none_left)  # else what is left of an earlier test is counted here
    before = await shared.metric(ended)
    async with sessions(shared, SESSIONS) as live:
        for _ in range(SESSIONS):
            assert await shared.metric(series) >= len(live)
        assert await shared.metric("relay_sessions_limit") == 5000
        assert await shared.metric("relay_ready") == 1
        for user in live.values():
            assert await user.terminate() == 1000

    async def all_counted() -> bool:
        return await shared.metric(ended) >= before + SESSIONS

    await until(all_counted)
    counted = [await shared.metric(ended) for _ in range(SESSIONS)]
    assert counted == [before + SESSIONS] * SESSIONS


async def arrived(it: Gateway, tickets: list[str]) -> list[int]:
    """The HTTP status that each of these tickets gets, while those let in stay."""
    over = asyncio.Event()
    told: list[int] = []

    async def tried(ticket: str) -> None:
        try:
            async with browser(f"{it.ws}/ws/echo?ticket={ticket}", native=True):
                told.append(101)
                await over.wait()
        except InvalidStatus as refused:
            told.append(refused.response.status_code)

    async with asyncio.TaskGroup() as tasks:
        for ticket in tickets:
            tasks.create_task(tried(ticket))
        await until(lambda: len(told) == len(tickets))
        over.set()
    return sorted(told)


async def test_ticket_is_used_once_over_workers(shared: Gateway) -> None:
    ticket = await shared.ticket("once", call_type="chat")
    assert await arrived(shared, [ticket] * SESSIONS) == [101, *[401] * (SESSIONS - 1)]


async def test_caps_are_exact_over_workers(shared: Gateway) -> None:
    tickets = [await shared.ticket("greedy", call_type="chat") for _ in range(SESSIONS)]
    assert await arrived(shared, tickets) == [*[101] * 3, *[429] * (SESSIONS - 3)]


async def test_browsers_resume_on_whichever_worker_they_reach(shared: Gateway) -> None:
    async with sessions(shared, SESSIONS) as live:
        for session, user in live.items():
            token = user.frames[0]["data"]["resume"]["token"]
            await user.talks("before")
            user.socket.transport.abort()
            url = f"{shared.ws}/ws?resume={token}&received={len(user.raw) - 1}"
            async with browser(url, native=True, origin=shared.base) as again:
                await again.frame("event", "relay.resumed")
                await again.talks(f"after {session}")
                assert await again.terminate() == 1000


async def test_any_worker_speaks_into_watches_and_ends_any_session(shared: Gateway) -> None:
    async with sessions(shared, SESSIONS) as live:
        for session, user in live.items():
            async with shared.api() as backend:  # another connection, perhaps to another worker
                said = {"content": "hello", "as": "notice"}
                answer = await backend.post(f"/v1/sessions/{session}/messages", json=said)
                assert answer.status_code == 202, answer.text
                taken = await backend.post(
                    f"/v1/sessions/{session}/takeover", json={"operator": "ann"}
                )
                assert taken.status_code == 200, taken.text
            await user.frame("event", "relay.notice")
            await user.frame("event", "relay.takeover")
            async with shared.api() as backend:
                assert (await backend.delete(f"/v1/sessions/{session}")).status_code in {
                    200,
                    202,
                    204,
                }
            assert await user.closed() == 1000


async def test_history_of_all_workers_is_one(shared: Gateway) -> None:
    async with sessions(shared, SESSIONS) as live:
        for user in live.values():
            await user.talks("kept")
            assert await user.terminate() == 1000
        ids = list(live)

    async def kept() -> bool:
        async with shared.api() as backend:
            found = [(await backend.get(f"/v1/conversations/{each}/transcript")) for each in ids]
        return all(each.status_code == 200 and "kept" in each.text for each in found)

    await until(kept, within=60)
    assert await shared.metric('relay_history_dropped_total{kind="record"}') == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mortal(vendor: Emulator) -> AsyncIterator[Gateway]:
    """Two workers for the tests that kill one, or the store, and at last let all drain."""
    async with workers(vendor, drain_timeout=600) as it:
        yield it


async def test_worker_that_dies_is_replaced_and_takes_no_other_session(mortal: Gateway) -> None:
    async with sessions(mortal, SPREAD) as live:
        owner = {line["session"]: line["worker"] for line in mortal.lines("session_started")}
        total = 'relay_frames_total{direction="from_browser",type="incomingChatMessage"}'
        for user in live.values():
            await user.talks("before")
        counted = await mortal.metric(total)
        assert counted == SPREAD
        os.kill(pids(mortal)[0], signal.SIGKILL)
        lost = [user for session, user in live.items() if owner[session] == 0]
        kept = [user for session, user in live.items() if owner[session] == 1]
        assert lost
        assert kept
        for user in lost:
            assert await user.closed() == 1006
        for user in kept:
            await user.talks("after")
        await until(lambda: len(mortal.lines("worker_started", worker=0)) == 2, within=60)
        await until(lambda: said_ready(mortal) == 3, within=60)
        assert mortal.lines("worker_died")[0]["status"] == -signal.SIGKILL
        async with sessions(mortal, SPREAD) as more:
            rows = await listed(mortal)
            assert len({rows[each] for each in more}) == 2
        # What the dead one had counted is not lost, and a new one counts on.
        assert await mortal.metric(total) == counted + len(kept)
        assert await mortal.metric("relay_worker_restarts_total") == 1


async def test_store_that_dies_is_an_outage_that_heals(mortal: Gateway) -> None:
    async with sessions(mortal, SESSIONS) as live:
        store = store_of(mortal)
        os.kill(store, signal.SIGKILL)
        await until(lambda: mortal.lines("store_died"))
        for user in live.values():
            await user.talks("all the same")

        async def listed_again() -> bool:
            try:
                return live.keys() <= (await listed(mortal)).keys()
            except (httpx.HTTPError, KeyError):
                return False

        await until(listed_again, within=60)
        assert store_of(mortal) != store
        async with sessions(mortal, 2):
            pass


async def test_sigterm_drains_every_worker_and_a_second_one_ends_what_is_left(
    mortal: Gateway,
) -> None:
    async with sessions(mortal, SESSIONS) as live:
        mortal.signal(signal.SIGTERM)
        await until(lambda: len(mortal.lines("draining")) == 2)
        for user in live.values():
            await user.talks("until it ends")
        mortal.signal(signal.SIGTERM)
        for user in live.values():
            assert await user.closed() == 1001
    assert await mortal.ended(60) == 0
    assert len(mortal.lines("drained")) == 2
    assert [line["status"] for line in mortal.lines("worker_ended")] == [0, 0]


async def test_reload_is_taken_over_by_all_workers_or_none(
    vendor: Emulator, tmp_path: Path
) -> None:
    file = tmp_path / "agents.yaml"

    def write(text: str) -> None:
        new = file.with_suffix(".new")
        new.write_text(text)
        new.replace(file)

    def agents(*names: str) -> str:
        return yaml.safe_dump(dict.fromkeys(names, AGENTS["echo"]))

    write(agents("echo"))
    async with workers(vendor, agents=None, agents_file=str(file)) as it:
        write(agents("echo", "added"))
        it.signal(signal.SIGHUP)
        await until(lambda: len(it.lines("config_reloaded")) == 2)
        assert {line["worker"] for line in it.lines("config_reloaded")} == {0, 1}
        async with sessions(it, SESSIONS, "added"):
            pass
        os.kill(pids(it)[0], signal.SIGKILL)
        await until(lambda: said_ready(it) == 3, within=60)
        async with sessions(it, SPREAD, "added"):
            assert len(set((await listed(it)).values())) >= 2, "also on the one that is new"
        write("echo: {call_types: [smoke]}")
        await until(lambda: it.lines("config_reload_refused"), within=60)
        refused = 'relay_config_reloads_total{outcome="refused"}'
        await until(lambda: it.metric(refused))
        assert await it.metric(refused) == 1
        async with sessions(it, SESSIONS, "added"):
            pass


async def test_workers_share_redis_and_end_with_their_supervisor(
    vendor: Emulator, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        async with workers(vendor, state_url=redis.url) as it:
            there = children(it.pid)
            assert sorted(there) == sorted(pids(it).values()), "no store of their own"
            async with sessions(it, SPREAD) as live:
                assert len(set((await listed(it)).values())) == 2
                for session, user in live.items():
                    async with it.api() as backend:
                        await backend.delete(f"/v1/sessions/{session}")
                    assert await user.closed() == 1000
            it.signal(signal.SIGKILL)
            await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in there), within=60)
            assert await it.ended() == -signal.SIGKILL


async def test_a_port_that_is_taken_and_a_bad_configuration_end_at_once(
    vendor: Emulator, shared: Gateway
) -> None:
    second = await Gateway(vendor.url, workers=2, port=shared.port).start()
    wrong = await Gateway(vendor.url, workers=2, tools="no_such_module").start()
    assert await second.ended(60) == 2
    assert f"RELAY_PORT: {shared.port} at 127.0.0.1" in second.log
    assert await wrong.ended(60) == 2
    assert wrong.log.count("error: ") == 1
