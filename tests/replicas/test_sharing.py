"""What two replicas share: tickets, resuming, ending, watching, caps, revocation and expiry."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
import pytest
import pytest_asyncio

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import Browser, browser, native_socket
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.asyncio.client import ClientConnection

    from tests.support.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "canary-jwt-secret-of-thirty-two-bytes"
# By the contract 5 s; a busy machine may take longer to do anything at all.
EVERYWHERE, SLACK = 5.0, 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    """Two replicas for this module."""
    async with replica_pair(
        tmp_path_factory.mktemp("pair"),
        auth="ticket,jwt,open",
        jwt_secret=SECRET,
        max_sessions_per_subject=3,
        max_sessions_per_ip=5000,
    ) as it:
        yield it


def a_jwt(subject: str, seconds: float = 600, **claims: Any) -> str:
    return jwt.encode({"sub": subject, "exp": time.time() + seconds, **claims}, SECRET, "HS256")


async def resumed(
    replica: Gateway, token: str, received: int, attempt: int | None = None
) -> ClientConnection:
    counted = "" if attempt is None else f"&attempt={attempt}"
    url = f"{replica.ws}/ws?resume={token}&received={received}{counted}"
    return await native_socket(url, replica.base)


async def offered(user: Browser) -> tuple[str, str]:
    """The session's id and its resume token."""
    told = (await user.frame("event", "relay.session"))["data"]
    return told["sessionId"], told["resume"]["token"]


async def begun(user: Browser) -> tuple[str, int]:
    """Talk until there is something to resume: the token, and how many frames arrived."""
    _, token = await offered(user)
    await user.frame("event", "connection")
    await user.talks()
    return token, len(user.raw) - 1


async def test_browser_resumes_on_the_other_replica_and_back(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with browser(f"{one.ws}/ws/echo?call_type=chat", native=True) as user:
        session, token = await offered(user)
        await user.frame("event", "connection")
        await user.talks("one")
        user.socket.transport.abort()
        received = len(user.raw) - 1
        said = "one"
        for replica, words in ((other, "two"), (one, "three"), (other, "four")):
            async with await resumed(replica, token, received) as socket:
                again = Browser(socket)
                told = (await again.frame("event", "relay.resumed"))["data"]
                assert told["replayed"] == 0, f"all that followed {said!r} had arrived"
                await again.talks(words)
                received += len(again.raw) - 1
                socket.transport.abort()
            said = words
        async with await resumed(other, token, received) as socket:
            again = Browser(socket)
            await again.frame("event", "relay.resumed")
            assert await again.terminate() == 1000

    async def over() -> bool:
        row = next((row for row in await pair.rows(1) if row["id"] == session), None)
        return row is None or row["phase"] in {"finished", "closed"}

    await until(over)


async def test_newest_socket_wins_over_replicas(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with browser(f"{one.ws}/ws/echo?call_type=chat", native=True) as user:
        token, received = await begun(user)
        async with await resumed(other, token, received) as socket:
            newest = Browser(socket)
            await newest.frame("event", "relay.resumed")
            error, code = await user.refused()
            assert (code, error["code"], error["retry"]) == (4409, 4409, "no")
            await newest.talks("still mine")
            assert await newest.terminate() == 1000


async def test_late_attempt_takes_no_newer_ones_place(pair: ReplicaPair) -> None:
    """It was on its way through the other replica while the browser came back directly."""
    one, other = pair.replicas
    async with browser(f"{one.ws}/ws/echo?call_type=chat", native=True) as user:
        token, received = await begun(user)
        user.socket.transport.abort()
        async with await resumed(one, token, received, attempt=200) as socket:
            newer = Browser(socket)
            await newer.frame("event", "relay.resumed")
            async with await resumed(other, token, received, attempt=100) as late:
                error, code = await Browser(late).refused()
                assert (code, error["retry"]) == (1001, "resume")
            await newer.talks("still mine")
            async with await resumed(other, token, received, attempt=201) as newest:
                assert (await newer.refused())[1] == 4409
                assert await Browser(newest).terminate() == 1000


@pytest.mark.parametrize("way", ["direct", "bridged"])
async def test_late_attempt_ends_no_conversation_whose_browser_is_away(
    pair: ReplicaPair, way: str
) -> None:
    """It asks for what the browser has confirmed since, on a socket that has been cut again."""
    one, other = pair.replicas
    async with browser(f"{one.ws}/ws/echo?call_type=chat", native=True) as user:
        session, token = await offered(user)
        await user.frame("event", "connection")
        await user.talks()
        early = len(user.raw) - 1
        user.socket.transport.abort()
        async with await resumed(one, token, early, attempt=200) as socket:
            newer = Browser(socket)
            await newer.frame("event", "relay.resumed")
            await newer.talks("more")
            received = early + len(newer.raw) - 1
            await socket.send(json.dumps({"type": "relay.received", "count": received}))
            seen = len(newer.raw)
            await newer.talks("and more")  # what is confirmed before it is let go
            received += len(newer.raw) - seen
            socket.transport.abort()

        async def is_away() -> bool:
            return [r["browser"] for r in await pair.rows(0) if r["id"] == session] == ["away"]

        await until(is_away)
        async with await resumed(
            one if way == "direct" else other, token, early, attempt=100
        ) as late:
            error, code = await Browser(late).refused()
            assert (code, error["retry"]) == (1001, "resume")
        async with await resumed(other, token, received, attempt=201) as socket:
            back = Browser(socket)
            await back.frame("event", "relay.resumed")
            await back.talks("still there")
            assert await back.terminate() == 1000


async def test_forged_token_is_refused_by_both_replicas(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with browser(f"{one.ws}/ws/echo?call_type=chat", native=True) as user:
        session, _ = await offered(user)
        for replica in (one, other):
            async with await resumed(replica, f"{session}.{'x' * 32}", 0) as socket:
                error, code = await Browser(socket).refused()
                assert (code, error["code"]) == (4410, 4410)
        await user.talks("unharmed")
        assert await user.terminate() == 1000


async def test_session_is_watched_and_ended_from_the_other_replica(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    async with browser(f"{one.ws}/ws/echo?call_type=chat", native=True) as user:
        session = await user.connected()
        path = f"{other.base}/v1/sessions/{session}"
        assert (await pair.backend.get(path)).json()["id"] == session
        kinds: list[str] = []
        async with pair.backend.stream("GET", f"{path}/watch") as events:
            lines = events.aiter_lines()
            assert await anext(lines) == ": watching"
            speaking = asyncio.create_task(_speak(user))
            async for line in lines:
                if line.startswith("data: "):
                    kinds.append(json.loads(line[6:])["kind"])
                    if kinds[-1] == "frame" and not speaking.done():
                        speaking.cancel()
                        answer = await pair.backend.delete(path)
                        assert answer.status_code == 204
        assert "frame" in kinds
        assert kinds[-1] == "end"
        assert await user.closed() == 1000
        assert (await pair.backend.delete(path)).status_code == 404


async def _speak(user: Browser) -> None:
    """Say something until somebody has seen it: a watch from elsewhere takes a moment to begin."""
    while True:
        await user.say("is anybody watching?")
        await asyncio.sleep(0.1)


async def test_cap_of_a_subject_counts_over_both_replicas(pair: ReplicaPair) -> None:
    one, other = pair.replicas
    query = "/ws/echo?call_type=chat"
    users = []
    for replica in (one, other, one):
        ticket = (await pair.mint(subject="greedy"))["ticket"]
        user = browser(f"{replica.ws}{query}&ticket={ticket}", native=True)
        users.append((user, await user.__aenter__()))
        await users[-1][1].connected()
    for replica in (one, other):
        ticket = (await pair.mint(subject="greedy"))["ticket"]
        async with browser(f"{replica.ws}{query}&ticket={ticket}", origin=one.base) as fourth:
            error, code = await fourth.refused()
            assert (code, error["code"]) == (4429, 4429)
            assert error["retryAfter"] > 0
    assert await users[0][1].terminate() == 1000
    ticket = (await pair.mint(subject="greedy"))["ticket"]
    async with browser(f"{other.ws}{query}&ticket={ticket}", native=True) as again:
        await again.connected()
        assert await again.terminate() == 1000
    for context, held in users[1:]:
        assert await held.terminate() == 1000
        await context.__aexit__(None, None, None)
    await users[0][0].__aexit__(None, None, None)


async def revoke(pair: ReplicaPair, replica: int, credential_id: str) -> float:
    base = pair.replicas[replica].base
    body = {"credential_id": credential_id, "ttl": 600}
    answer = await pair.backend.post(f"{base}/v1/revocations", json=body)
    assert answer.status_code == 204, answer.text
    return time.monotonic()


async def is_refused(replica: Gateway, token: str) -> bool:
    url = f"{replica.ws}/ws/echo?call_type=chat"
    async with browser(url, bearer=token, origin=replica.base) as late:
        error, code = await late.refused()
    return (code, error["code"]) == (4401, 4401)


@pytest.mark.parametrize("jti", ["token-7", None])
async def test_revoked_jwt_ends_its_sessions_on_every_replica(
    pair: ReplicaPair, jti: str | None
) -> None:
    claims: dict[str, Any] = {} if jti is None else {"jti": jti}
    token = a_jwt(f"revoked {jti}", **claims)
    one, other = pair.replicas
    url = "/ws/echo?call_type=chat"
    async with (
        browser(one.ws + url, bearer=token) as here,
        browser(other.ws + url, bearer=token) as there,
        browser(other.ws + url, bearer=a_jwt("somebody else")) as bystander,
    ):
        for user in (here, there, bystander):
            await user.connected()
        credential_id = jti or hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()
        revoked_at = await revoke(pair, 0, credential_id)
        for user in (here, there):
            error, code = await user.refused()
            assert (code, error["code"], error["retry"]) == (4401, 4401, "no")
        seconds = time.monotonic() - revoked_at
        print(f"revocation ended both sessions within {seconds:.2f} s")
        assert seconds < EVERYWHERE + SLACK
        for replica in (one, other):
            assert await is_refused(replica, token), "nobody comes in by it any more"
        await bystander.talks()
        assert await bystander.terminate() == 1000


async def test_revoked_ticket_ends_its_session_or_is_refused(pair: ReplicaPair) -> None:
    used, unused = await pair.mint(), await pair.mint()
    one, other = pair.replicas
    async with browser(f"{one.ws}/ws/echo?call_type=chat&ticket={used['ticket']}") as user:
        await user.frame("event", "connection")
        for minted in (used, unused):
            await revoke(pair, 1, minted["id"])
        assert (await user.refused())[1] == 4401
    url = f"{other.ws}/ws/echo?call_type=chat&ticket={unused['ticket']}"
    async with browser(url, origin=other.base) as late:
        assert (await late.refused())[1] == 4401


async def test_expired_jwt_ends_its_session_on_whichever_replica_its_browser_is(
    pair: ReplicaPair,
) -> None:
    one, other = pair.replicas
    seconds = 8.0
    expires = time.time() + seconds
    token = a_jwt("expires", seconds)
    async with browser(f"{one.ws}/ws/echo?call_type=chat", bearer=token) as user:
        _, resume = await offered(user)
        await user.frame("event", "connection")
        await user.talks()
        user.socket.transport.abort()
        async with await resumed(other, resume, len(user.raw) - 1) as socket:
            error, code = await Browser(socket).refused()
        assert (code, error["code"]) == (4401, 4401)
        assert -0.5 < time.time() - expires < EVERYWHERE + SLACK
    assert await is_refused(other, token)


@pytest.mark.parametrize(
    "body", [{}, {"credential_id": ""}, {"credential_id": "x", "ttl": 0}, {"ticket": "x"}]
)
async def test_revocation_that_names_nothing_is_refused(
    pair: ReplicaPair, body: dict[str, Any]
) -> None:
    answer = await pair.backend.post(f"{pair.replicas[0].base}/v1/revocations", json=body)
    assert answer.status_code == 422


async def test_revocation_needs_a_service_token(pair: ReplicaPair) -> None:
    answer = await pair.backend.post(
        f"{pair.replicas[0].base}/v1/revocations",
        json={"credential_id": "x"},
        headers={"authorization": "Bearer nobody"},
    )
    assert answer.status_code == 401
