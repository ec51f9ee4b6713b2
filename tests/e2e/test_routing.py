"""Routes and fallbacks, by real processes: who serves, and where that can be read."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from app.protocol.route import Route, agent_for
from tests.support.browser import Browser, browser
from tests.support.gateway import AGENTS, Emulator, Gateway, emulator, gateway
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

ECHO = AGENTS["echo"]
WEIGHTS = {"old": 3, "new": 1}


def greeting(text: str, **more: Any) -> dict[str, Any]:
    return ECHO | {"initialize": {"additionalData": {"agent": "echo", "greeting": text}}} | more


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vendor() -> AsyncIterator[Emulator]:
    async with emulator() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def routed(
    vendor: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    nowhere = f"ws://127.0.0.1:{free_port()}"
    route = [{"agent": agent, "weight": weight} for agent, weight in WEIGHTS.items()]
    store = tmp_path_factory.mktemp("history") / "history.db"
    agents = {
        "front": {"route": route},
        "old": greeting("I am old", call_types=["chat"]),
        "new": greeting("I am new", call_types=["chat"], browser_tools=["show_map"]),
        "away": greeting("never", blackbox_url=nowhere, fallback="spare"),
        "lost": greeting("never", blackbox_url=nowhere, fallback="away"),
        "fragile": greeting("I am fragile", fallback="spare"),
        "spare": greeting("I am the spare", call_types=["chat"]),
    }
    async with gateway(
        vendor.url,
        auth="ticket",
        agents=agents,
        connect_timeout=1,
        history_url=f"sqlite+aiosqlite:///{store}",
    ) as running:
        yield running


@asynccontextmanager
async def visit(running: Gateway, agent: str, subject: str = "user") -> AsyncIterator[Browser]:
    """A browser with a ticket for one agent alone."""
    ticket = await running.ticket(subject, agent=agent, call_type="chat")
    async with browser(f"{running.ws}/ws/{agent}?ticket={ticket}") as page:
        yield page


async def greeted(page: Browser) -> str:
    text: str = (await page.frame("text"))["content"]["text"]
    return text


async def kept(running: Gateway, session: str) -> dict[str, Any]:
    """What history says of a conversation that has ended."""

    async def ended() -> dict[str, Any] | None:
        async with running.api() as backend:
            answer = await backend.get(f"/v1/conversations/{session}")
        found: dict[str, Any] = answer.json()
        return found if answer.status_code == 200 and found["ended_at"] else None

    found: dict[str, Any] = await until(ended)
    return found


async def test_a_subject_is_always_served_by_the_same_agent(routed: Gateway) -> None:
    routes = [Route(agent, weight) for agent, weight in WEIGHTS.items()]
    subjects = {agent_for(routes, f"user-{number}"): f"user-{number}" for number in range(30)}
    assert subjects.keys() == WEIGHTS.keys()
    for agent, subject in subjects.items():
        for _ in range(2):
            async with visit(routed, "front", subject) as page:
                begun = await page.frame("event", "relay.session")
                assert begun["data"]["agent"] == agent
                assert await greeted(page) == f"I am {agent}"
                session = begun["data"]["sessionId"]
                async with routed.api() as backend:
                    row = (await backend.get(f"/v1/sessions/{session}")).json()
                assert (row["agent"], row["requested_agent"]) == (agent, "front")
                assert await page.terminate() == 1000
        found = await kept(routed, session)
        assert (found["agent"], found["requested_agent"]) == (agent, "front")
        labels = f'agent="{agent}",reason="route",requested_agent="front"'
        assert await routed.metric(f"relay_routed_sessions_total{{{labels}}}") == 2
        labels = f'agent="{agent}",call_type="chat",close_code="1000"'
        assert await routed.metric(f"relay_sessions_total{{{labels}}}") >= 2
        assert routed.lines("session_started", agent=agent, requested_agent="front")


async def test_a_credential_for_one_agent_does_not_open_what_it_routes_to(
    routed: Gateway,
) -> None:
    ticket = await routed.ticket("user", agent="front", call_type="chat")
    url = f"{routed.ws}/ws/old?ticket={ticket}"
    async with browser(url, origin=routed.base) as page:
        _, code = await page.refused()
    assert code == 4403


async def test_an_agent_that_cannot_be_dialled_is_stood_in_for(routed: Gateway) -> None:
    """At first by a dial that fails, then by the open circuit, before anything is dialled."""
    told = []
    for _ in range(6):
        async with visit(routed, "away") as page:
            begun = (await page.frame("event", "relay.session"))["data"]
            assert await greeted(page) == "I am the spare"
            async with routed.api() as backend:
                row = (await backend.get(f"/v1/sessions/{begun['sessionId']}")).json()
            assert (row["agent"], row["requested_agent"]) == ("spare", "away")
            await page.talks()
            assert await page.terminate() == 1000
            told.append(begun["agent"])
    assert told == ["away"] * 5 + ["spare"]
    found = await kept(routed, begun["sessionId"])
    assert (found["agent"], found["requested_agent"]) == ("spare", "away")
    labels = 'agent="spare",reason="fallback",requested_agent="away"'
    assert await routed.metric(f"relay_routed_sessions_total{{{labels}}}") == 6

    async def none_is_live() -> bool:
        return await routed.metric('relay_sessions{agent="spare",call_type="chat"}') == 0

    await until(none_is_live)
    assert len(routed.lines("fallback_served", agent="spare", failed="away")) == 5


@pytest.mark.parametrize("fault", ["refuse", "hang", "rst_on_dial"])
async def test_whatever_fails_at_the_dial_is_stood_in_for(
    fault: str, vendor: Emulator, routed: Gateway
) -> None:
    await vendor.order(fault, count=1)
    async with visit(routed, "fragile") as page:
        session = await page.started()
        assert await greeted(page) == "I am the spare"
        await page.talks()
        assert await page.terminate() == 1000
    found = await kept(routed, session)
    assert (found["agent"], found["requested_agent"]) == ("spare", "fragile")
    async with routed.api() as backend:
        turns = (await backend.get(f"/v1/conversations/{session}/transcript")).json()["turns"]
    assert turns[0]["text"].startswith("I am the spare")


async def test_what_fails_after_the_dial_is_not(vendor: Emulator, routed: Gateway) -> None:
    await vendor.order("not_enabled", count=1)
    ticket = await routed.ticket("user", agent="fragile", call_type="chat")
    async with browser(f"{routed.ws}/ws/fragile?ticket={ticket}", origin=routed.base) as page:
        session = await page.started()
        _, code = await page.refused()
    assert code == 4502
    found = await kept(routed, session)
    assert (found["agent"], found["requested_agent"]) == ("fragile", None)


async def test_a_fallback_that_fails_too_ends_it_and_is_not_followed_further(
    routed: Gateway,
) -> None:
    """`lost` is stood in for by `away`, which has a fallback of its own."""
    ticket = await routed.ticket("user", agent="lost", call_type="chat")
    async with browser(f"{routed.ws}/ws/lost?ticket={ticket}") as page:
        error, code = await page.refused()
    assert (code, error["code"]) == (4502, 4502)


async def test_a_call_type_that_the_fallback_has_not_is_not_taken_there(routed: Gateway) -> None:
    ticket = await routed.ticket("user", agent="away", call_type="webCall")
    url = f"{routed.ws}/ws/away?ticket={ticket}"
    async with browser(url, origin=routed.base) as page:
        _, code = await page.refused()
    assert code == 4502
