"""A chat that outlives its page, over two replicas: joined, resumed and refused on either."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import pytest_asyncio

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import Browser, browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "canary-jwt-secret-of-thirty-two-bytes"
KEEP = 6.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    """Two replicas for this module."""
    async with replica_pair(
        tmp_path_factory.mktemp("pages"),
        auth="ticket,jwt",
        jwt_secret=SECRET,
        chat_keep=KEEP,
        chat_pages=3,
        resume_window=1,
        max_sessions_per_subject=1,
        max_sessions_per_ip=5000,
    ) as it:
        yield it


def a_jwt(subject: str, **claims: Any) -> str:
    return jwt.encode({"sub": subject, "exp": time.time() + 600, **claims}, SECRET, "HS256")


@asynccontextmanager
async def first_page(replica: Gateway, subject: str, agent: str = "echo") -> AsyncIterator[Browser]:
    url = f"{replica.ws}/ws/{agent}?call_type=chat"
    async with browser(url, bearer=a_jwt(subject), origin=replica.base) as user:
        yield user


@asynccontextmanager
async def page(
    replica: Gateway, subject: str, session: str, *, query: str = "", **claims: Any
) -> AsyncIterator[Browser]:
    """One more page of a session."""
    url = f"{replica.ws}/ws?session={session}{query}"
    async with browser(url, bearer=a_jwt(subject, **claims), origin=replica.base) as user:
        yield user


async def history(user: Browser) -> list[tuple[str, str]]:
    """Read the frames that every page gets first."""
    first, second = await user.read(), await user.read()
    assert [first["name"], second["name"]] == ["relay.session", "relay.history"]
    assert first["data"]["keep"] == KEEP
    return [(turn["source"], turn["text"]) for turn in second["data"]["turns"]]


async def hears(user: Browser, *texts: str) -> None:
    """Read texts until both sides' last ones have come."""
    missing = {(source, text) for text in texts for source in ("user", "assistant")}
    while missing:
        content = (await user.frame("text"))["content"]
        missing.discard((content["source"], content["text"]))


async def test_pages_on_both_replicas_see_both_sides(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with first_page(one, "ann") as tab:
        session = await tab.connected()
        await tab.talks("first")
        async with page(other, "ann", session) as device, page(one, "ann", session) as second:
            for user in (device, second):
                told = await history(user)
                assert told == [("user", "first"), ("assistant", "first")]
            await device.say("from the device")
            for user in (tab, second, device):
                await hears(user, "from the device")
            await tab.say("from the tab")
            for user in (tab, second, device):
                await hears(user, "from the tab")
            rows = [row for row in await pair.rows(1) if row["id"] == session]
            assert len(rows) == 1, "pages of one session count once"
            assert await second.terminate() == 1000
            assert [await tab.closed(), await device.closed()] == [1000, 1000]


async def test_each_page_resumes_for_itself_on_either_replica(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with first_page(one, "ben") as tab:
        session = await tab.connected()
        async with page(other, "ben", session) as device:
            token = (await device.read())["data"]["resume"]["token"]
            assert (await device.read())["name"] == "relay.history"
            await tab.say("one")
            await hears(device, "one")
            await device.send({"type": "relay.received", "count": 1})
            device.socket.transport.abort()
            await tab.talks("two")
        for replica in (one, other):
            url = f"{replica.ws}/ws?resume={token}&received=1"
            async with browser(url, native=True, origin=replica.base) as again:
                told = await again.frame("event", "relay.resumed")
                assert told["data"]["received"] == 0
                assert told["data"]["replayed"] == 3
                texts = [(await again.frame("text"))["content"]["text"] for _ in range(3)]
                assert texts == ["one", "two", "two"]
                again.socket.transport.abort()
        await tab.talks("three")
        assert await tab.terminate() == 1000


async def test_chat_stays_open_without_pages_and_ends_after_its_time(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with first_page(one, "cat") as tab:
        session = await tab.connected()
        await tab.talks("before")
        tab.socket.transport.abort()

    async def row() -> dict[str, Any] | None:
        rows = await pair.rows(0)
        return next((row for row in rows if row["id"] == session), None)

    async def away() -> bool:
        found = await row()
        return found is not None and found["browser"] == "away"

    await until(away)
    left_at = time.monotonic()
    await until(lambda: time.monotonic() - left_at > 2)  # twice the resume window
    async with page(other, "cat", session) as device:
        assert ("user", "before") in await history(device)
        await device.talks("after")
        device.socket.transport.abort()
    left_at = time.monotonic()

    async def gone() -> bool:
        return await row() is None

    await until(gone, within=30)
    assert time.monotonic() - left_at >= KEEP - 1
    async with page(other, "cat", session) as late:
        assert (await late.refused())[1] == 4403


async def test_every_refusal_to_join_is_the_same(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with (
        first_page(one, "dan") as tab,
        browser(
            f"{one.ws}/ws/voice?call_type=webCall", bearer=a_jwt("eve"), origin=one.base
        ) as caller,
        browser(f"{one.ws}/ws/echo?call_type=chat", native=False, origin=one.base) as outsider,
    ):
        session = await tab.connected()
        call = await caller.started()
        assert (await outsider.refused())[1] == 4401
        asked: list[tuple[str, str, dict[str, Any]]] = [
            ("mallory", session, {}),  # another subject
            ("dan", "0" * 32, {}),  # no such session
            ("dan", "../etc/passwd", {}),
            ("eve", call, {}),  # a voice call
            ("dan", session, {"agent": "support"}),  # a credential for another agent
        ]
        seen = set()
        for replica in (one, other):
            for subject, wanted, claims in asked:
                async with page(replica, subject, wanted, **claims) as user:
                    error, code = await user.refused()
                    assert len(user.raw) == 1, user.raw
                    seen.add((code, user.reason, json.dumps(error)))
        assert len(seen) == 1, seen
        assert next(iter(seen))[0] == 4403
        await tab.talks("undisturbed")
        await tab.terminate()
        await caller.terminate()


async def test_too_many_pages_are_told_when_to_come_back(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with first_page(one, "fay") as tab:
        session = await tab.connected()
        async with page(one, "fay", session) as second, page(other, "fay", session) as third:
            await history(second)
            await history(third)
            for replica in (one, other):
                async with page(replica, "fay", session) as fourth:
                    error, code = await fourth.refused()
                    assert (code, error["retry"]) == (4429, "reconnect")
                    assert error["retryAfter"] >= 5
            await third.talks("still here")
            assert await tab.terminate() == 1000


async def test_revoked_page_is_cut_alone(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with first_page(one, "gus") as tab:
        session = await tab.connected()
        token = a_jwt("gus", jti="stolen")
        url = f"{other.ws}/ws?session={session}"
        async with browser(url, bearer=token, origin=other.base) as stolen:
            await history(stolen)
            body = {"credential_id": "stolen", "ttl": 600}
            answer = await pair.backend.post(f"{other.base}/v1/revocations", json=body)
            assert answer.status_code == 204
            assert (await stolen.refused())[1] == 4401
        await tab.talks("still mine")
        assert await tab.terminate() == 1000


async def test_page_with_a_ticket_joins_once_and_only_its_own_subject(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    minted = await pair.mint(subject="hal")
    url = f"{one.ws}/ws/echo?call_type=chat&ticket={minted['ticket']}"
    async with browser(url, native=True, origin=one.base) as tab:
        session = await tab.connected()
        later = await pair.mint(subject="hal")
        joining = f"{other.ws}/ws?session={session}&ticket={later['ticket']}"
        async with browser(joining, native=True, origin=other.base) as device:
            assert await history(device) == []
            async with browser(joining, native=True, origin=other.base) as again:
                assert (await again.refused())[1] == 4401
            without = f"{other.ws}/ws?session={session}"
            async with browser(without, native=True, origin=other.base) as nobody:
                assert (await nobody.refused())[1] == 4401
            await device.talks("mine")
        assert await tab.terminate() == 1000


async def test_tool_request_fails_over_to_the_page_on_the_other_replica(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    data = {"agent": "counter", "count": 1, "toolEvery": 1, "tool": "show_order", "expect": 1}
    minted = await pair.mint(subject="ida", agent="counter", additional_data=data)
    url = f"{one.ws}/ws/counter?call_type=chat&ticket={minted['ticket']}"
    async with browser(url, native=True, origin=one.base) as tab:
        session = await tab.started()
        asked = await tab.frame("websocketToolRequest")
        async with page(other, "ida", session) as device:
            await history(device)
            tab.socket.transport.abort()
            again = await device.frame("websocketToolRequest")
            assert again["content"]["id"] == asked["content"]["id"]
            content = {"id": again["content"]["id"], "result": {"shown": True}}
            await device.send({"type": "websocketToolResponse", "content": content})
            await device.say("#1")
            result = (await device.frame("conversationResult"))["result"]
            assert (result["toolCalls"], result["toolErrors"]) == (1, [])
            assert await device.closed() == 1000


async def test_nothing_went_wrong_at_the_vendor(pair: ReplicaPair) -> None:
    assert await pair.violations() == []
