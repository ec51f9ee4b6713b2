"""Approvals over two replicas: listed and decided through either, once; shown again on resume."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import NATIVE, Browser, browser
from tests.support.gateway import AGENTS
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOOL = "check_order_status"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReplicaPair]:
    agents = {
        decider: AGENTS["counter"] | {"approve": {TOOL: decider}}
        for decider in ("operator", "user")
    }
    directory = tmp_path_factory.mktemp("pair")
    history = f"sqlite+aiosqlite:///{directory}/history.db"
    async with replica_pair(directory, agents=agents, history_url=history) as it:
        yield it


async def url_of(it: ReplicaPair, agent: str, marker: str) -> str:
    """Where a page comes in at the first replica; the agent calls the tool once."""
    data = {"marker": marker, "count": 1, "rate": 1000, "toolEvery": 1, "expect": 1}
    script = {"agent": "counter", "toolTimeout": 30, **data}
    base = it.replicas[0].base
    ticket = (await it.mint(base, agent=agent, additional_data=script))["ticket"]
    return f"{it.replicas[0].ws}/ws/{agent}?ticket={ticket}"


async def waiting(it: ReplicaPair, replica: int, session: str) -> list[dict[str, Any]]:
    answer = await it.backend.get(f"{it.replicas[replica].base}/v1/approvals")
    assert answer.status_code == 200, answer.text
    return [asked for asked in answer.json()["approvals"] if asked["session_id"] == session]


async def decided(it: ReplicaPair, replica: int, path: str, **body: Any) -> httpx.Response:
    return await it.backend.post(f"{it.replicas[replica].base}/v1/approvals/{path}", json=body)


async def errors(it: ReplicaPair, page: Browser, marker: str) -> list[Any]:
    """What the agent says of its tool calls, once the conversation is over."""
    await page.say("#1")
    await page.closed()
    conversation = await it.vendor.conversation(marker, ended=True)
    found: list[Any] = conversation["result"]["toolErrors"]
    return found


async def test_an_operator_decides_once_through_any_replica(pair: ReplicaPair) -> None:
    async with browser(await url_of(pair, "operator", "a1"), native=True) as page:
        session = await page.connected()
        watching = asyncio.create_task(watched(pair, session))
        (asked,) = await until(lambda: waiting(pair, 1, session))
        assert asked["tool"] == TOOL
        assert asked["args"] == {"order_number": "1001"}
        assert asked["agent"] == "operator"
        assert await waiting(pair, 0, session) == [asked]
        path = f"{session}/{asked['id']}"
        malformed = await decided(pair, 1, path, approve="yes")
        assert malformed.status_code == 422
        assert malformed.json()["faults"][0]["at"] == "body.approve"
        both = await asyncio.gather(
            decided(pair, 0, path, approve=False, by="eve"),
            decided(pair, 1, path, approve=False, by="bob"),
        )
        assert sorted(answer.status_code for answer in both) == [200, 409]
        first = next(answer.json() for answer in both if answer.status_code == 200)
        refused = next(answer.json() for answer in both if answer.status_code == 409)
        assert refused["by"] == first["by"]
        again = await decided(pair, 1, path, approve=False, by=first["by"])
        assert (again.status_code, again.json()) == (200, first)
        assert (await decided(pair, 1, f"{session}/none", approve=True)).status_code == 404
        gone = await decided(pair, 1, "none/none", approve=True)
        assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")

        async def unlisted() -> bool:
            return not await waiting(pair, 0, session) and not await waiting(pair, 1, session)

        await until(unlisted)
        (error,) = await errors(pair, page, "a1")
        assert error["error"]["code"] == "not_approved"
    states = [event["state"] for event in await watching if event["kind"] == "approval"]
    assert states[-1] == "declined"
    audit = [line for replica in pair.replicas for line in replica.lines("audit")]
    assert {"approval.decline"} == {line["action"] for line in audit}
    assert all(session == line["target"] for line in audit)
    await assert_in_history(pair, session, first["by"], asked["asked_at"])


async def assert_in_history(it: ReplicaPair, session: str, by: str, asked_at: float) -> None:
    """History tells who decided on the call, and when."""
    url = f"{it.replicas[1].base}/v1/conversations/{session}/events"

    async def tools() -> list[dict[str, Any]]:
        answer = await it.backend.get(url)
        found: list[dict[str, Any]] = answer.json().get("tools", [])
        return found

    (call,) = await until(tools)
    kept = (call["name"], call["outcome"], call["approval"], call["decided_by"])
    assert kept == (TOOL, "not_approved", "declined", by)
    assert asked_at <= call["decided_at"] <= call["at"]


async def watched(it: ReplicaPair, session: str) -> list[dict[str, Any]]:
    """The events of a session to its end, by the replica that has it not."""
    url = f"{it.replicas[1].base}/v1/sessions/{session}/watch"
    found: list[dict[str, Any]] = []
    async with it.backend.stream("GET", url) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
                if found[-1]["kind"] == "end":
                    break
    return found


async def test_a_user_who_resumes_on_another_replica_is_asked_again(pair: ReplicaPair) -> None:
    async with browser(await url_of(pair, "user", "a2"), native=True) as first:
        hello = await first.frame("event", "relay.session")
        asked = (await first.frame("event", "relay.approval_request"))["data"]
        first.socket.transport.abort()
    session, token = hello["data"]["sessionId"], hello["data"]["resume"]["token"]
    assert await waiting(pair, 1, session) == []  # it is the user's
    refused = await decided(pair, 1, f"{session}/{asked['id']}", approve=True, by="eve")
    assert (refused.status_code, refused.json()["title"]) == (409, "users_own")
    received = len([f for f in first.frames if not str(f.get("name")).startswith("relay.")])
    url = f"{pair.replicas[1].ws}/ws?resume={token}&received={received}"
    async with connect(url, subprotocols=[NATIVE], proxy=None) as socket:  # type: ignore[list-item]
        second = Browser(socket)
        again = (await second.frame("event", "relay.approval_request"))["data"]
        assert (again["id"], again["args"]) == (asked["id"], asked["args"])
        await second.send({"type": "relay.approval", "id": asked["id"], "approve": True})
        settled = (await second.frame("event", "relay.approval_settled"))["data"]
        assert settled == {"id": asked["id"], "approved": True}
        assert await errors(pair, second, "a2") == []
    assert await pair.violations() == []
