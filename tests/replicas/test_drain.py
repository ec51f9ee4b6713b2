"""One replica that is told to stop, from the signal to its exit status."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import datetime
from signal import SIGTERM
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.support.browser import Browser, browser
from tests.support.gateway import AGENTS, Emulator, Gateway, gateway
from tests.support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT, CALL = "/ws/echo?call_type=chat", "/ws/echo?call_type=webCall"
# A busy machine is slow to hear of things, never early.
SLACK = 10.0


async def entered(stack: AsyncExitStack, replica: Gateway, path: str = CHAT) -> Browser:
    """A browser in a conversation that has begun."""
    user = await stack.enter_async_context(browser(replica.ws + path, native=True))
    await user.connected()
    return user


async def readiness(replica: Gateway) -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        answer = await client.get(f"{replica.base}/readyz")
    return answer.status_code, answer.json()


async def test_drain_goes_by_the_contract_from_signal_to_exit(emulator: Emulator) -> None:
    delay, timeout = 5.0, 8.0
    async with (
        gateway(emulator.url, drain_delay=delay, drain_timeout=timeout) as replica,
        AsyncExitStack() as stack,
    ):
        users = [await entered(stack, replica) for _ in range(6)]
        signalled = time.time()
        replica.signal(SIGTERM)
        told = await users[0].frame("event", "relay.draining")
        deadline = datetime.fromisoformat(told["data"]["deadline"]).timestamp()
        assert delay + timeout - 0.01 <= deadline - signalled < delay + timeout + SLACK
        status, said = await readiness(replica)
        assert (status, said["reason"]) == (503, "draining")
        # Balancers have not noticed yet: who comes now is let in, told, and served.
        late = await entered(stack, replica)
        assert (await late.frame("event", "relay.draining"))["data"] == told["data"]
        await late.talks()

        async def refusal() -> dict[str, Any] | None:
            async with browser(replica.ws + CHAT, native=True, origin=replica.base) as other:
                error, code = await other.refused() if await _turned_away(other) else ({}, 0)
            return {"close": code, **error} if code else None

        refused = await until(refusal, within=60, every=0.2)
        assert time.time() - signalled >= delay - 0.1
        assert (refused["close"], refused["code"], refused["retry"]) == (4503, 4503, "reconnect")
        assert refused["retryAfter"] > 0
        with pytest.raises(InvalidStatus) as by_http:
            async with browser(replica.ws + CHAT):
                pass
        assert by_http.value.response.status_code == 503
        assert int(by_http.value.response.headers["retry-after"]) >= 1
        # The conversation goes on in the meantime; then the deadline comes.
        await late.talks("still there?")
        ends = await asyncio.gather(*(user.refused() for user in [*users, late]))
        assert time.time() - signalled >= delay + timeout / 2
        assert [code for _, code in ends] == [1001] * len(ends)
        waits = [error["retryAfter"] for error, _ in ends]
        assert all(error["retry"] == "reconnect" for error, _ in ends)
        assert all(0 < wait <= 10 for wait in waits)
        assert len(set(waits)) > len(waits) // 2, "reconnects must be spread"
        assert await replica.ended() == 0
    for conversation in (await emulator.conversations())[-len(ends) :]:
        assert conversation["received"][-1]["frame"]["type"] == "terminate"


async def _turned_away(user: Browser) -> bool:
    """Whether the first word is an error; if not, the conversation is ended again."""
    first = await user.read()
    if first["type"] == "error":
        return True
    await user.terminate()
    return False


async def test_second_signal_shortens_the_drain(emulator: Emulator) -> None:
    async with (
        gateway(emulator.url, drain_delay=300, drain_timeout=300) as replica,
        AsyncExitStack() as stack,
    ):
        user = await entered(stack, replica)
        replica.signal(SIGTERM)
        await user.frame("event", "relay.draining")
        replica.signal(SIGTERM)
        error, code = await user.refused()
        assert (code, error["code"], error["retry"]) == (1001, 1001, "reconnect")
        assert await replica.ended(60) == 0


async def test_drain_ends_as_soon_as_the_last_session_has(emulator: Emulator) -> None:
    async with (
        gateway(emulator.url, drain_delay=0, drain_timeout=300) as replica,
        AsyncExitStack() as stack,
    ):
        user = await entered(stack, replica)
        replica.signal(SIGTERM)
        await user.frame("event", "relay.draining")
        assert await user.terminate() == 1000
        assert await replica.ended(60) == 0


async def test_drain_does_not_wait_for_who_will_not_hear_the_goodbye(emulator: Emulator) -> None:
    async with (
        gateway(emulator.url, drain_delay=0, drain_timeout=2, resume_window=300) as replica,
        AsyncExitStack() as stack,
    ):
        user = await entered(stack, replica)
        user.socket.transport.abort()
        async with replica.api() as backend:

            async def is_away() -> bool:
                (row,) = (await backend.get("/v1/sessions")).json()["sessions"]
                return bool(row["browser"] == "away")

            await until(is_away, every=0.1)
            (row,) = (await backend.get("/v1/sessions")).json()["sessions"]
            assert (await backend.delete(f"/v1/sessions/{row['id']}")).is_success

        async def over() -> bool:
            return (await emulator.counters())["sockets_open"] == 1  # that of this question

        await until(over, every=0.1)
        assert not replica.lines("session_ended")  # it may come back, for 300 s
        replica.signal(SIGTERM)
        assert await replica.ended(60) == 0
        assert replica.lines("drained", sessions=0)


async def test_idle_chats_are_ended_first_and_calls_last(emulator: Emulator) -> None:
    async with (
        gateway(emulator.url, drain_delay=0, drain_timeout=12) as replica,
        AsyncExitStack() as stack,
    ):
        chat, call, busy = [await entered(stack, replica, path) for path in (CHAT, CALL, CHAT)]
        over: list[str] = []

        async def end_of(name: str, user: Browser) -> None:
            assert (await user.refused())[1] == 1001
            over.append(name)

        async def chatter() -> None:
            while True:
                await busy.say("go on")
                await asyncio.sleep(0.2)

        async with asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(chatter())
            replica.signal(SIGTERM)
            ends = [
                tasks.create_task(end_of(name, user))
                for name, user in (("chat", chat), ("call", call), ("busy chat", busy))
            ]
            await until(lambda: over, within=60)
            assert over == ["chat"]
            async with browser(replica.ws + CHAT, native=True, origin=replica.base) as other:
                assert (await other.refused())[1] == 4503, "the replica still drains"
            assert over == ["chat"], "calls and busy chats have the whole time"
            talking.cancel()
            await asyncio.wait(ends)
        assert await replica.ended(60) == 0


async def test_running_tool_is_waited_for(emulator: Emulator) -> None:
    data = {
        "agent": "counter",
        "marker": "slow-tool",
        "count": 1,
        "toolEvery": 1,
        "tool": "check_slowly",
    }
    agents = {"slow": {"initialize": {"additionalData": data}}}
    async with (
        gateway(
            emulator.url,
            agents=AGENTS | agents,
            tools="tests.replicas.slow_tools",
            drain_delay=0,
            # The idle are ended after 4 s, when the tool has not answered yet.
            drain_timeout=8,
        ) as replica,
        browser(f"{replica.ws}/ws/slow?call_type=chat", native=True) as user,
    ):
        await user.frame("event", "connection")
        await user.frame("text")
        replica.signal(SIGTERM)
        result = await user.frame("conversationResult")
        assert result["result"]["toolErrors"] == []
        assert await user.closed() == 1000
        assert await replica.ended(60) == 0
    answers = (await emulator.conversation("slow-tool", ended=True))["toolAnswers"]
    assert list(answers.values()) == [1]
