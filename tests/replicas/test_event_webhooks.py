"""Lifecycle events of two replicas on one database: one is killed, the other delivers for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
from jsonschema import Draft202012Validator
from websockets.asyncio.client import connect

from tests.history.receiver import SECRET, Receiver, receiving
from tests.replicas.pair import ReplicaPair, replica_pair
from tests.support.browser import NATIVE, browser
from tests.support.ports import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

ROTATED = "whsec_b3RoZXItc2VjcmV0LW9mLXRoaXMtdGVzdA=="


def told(receiver: Receiver, session: str) -> list[str]:
    """The types of a session's events, as they first came."""
    mine = [body for body in receiver.order if body["data"]["session_id"] == session]
    return [body["type"] for n, body in enumerate(mine) if body not in mine[:n]]


async def deliveries(it: ReplicaPair, **query: str) -> list[dict[str, Any]]:
    answer = await it.backend.get(f"{it.replicas[1].base}/v1/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["deliveries"]
    return found


async def resumed_and_lost(it: ReplicaPair) -> str:
    """A session of the first replica's, resumed through the second, whose tool fails."""
    script = {"agent": "counter", "count": 1, "rate": 1000, "toolEvery": 1, "tool": "no_such"}
    data = script | {"marker": "e1", "expect": 1, "toolTimeout": 20}
    ticket = (await it.mint(it.replicas[0].base, additional_data=data, subject="ann"))["ticket"]
    url = f"{it.replicas[0].ws}/ws?ticket={ticket}"
    async with browser(url, native=True) as first:
        hello = await first.frame("event", "relay.session")
        await first.frame("text")
        first.socket.transport.abort()
    resume = f"resume={hello['data']['resume']['token']}&received=0"
    again = f"{it.replicas[1].ws}/ws?{resume}"
    async with connect(again, subprotocols=[NATIVE], proxy=None) as socket:  # type: ignore[list-item]
        assert json.loads(await socket.recv())["name"] == "relay.resumed"
    session: str = hello["data"]["sessionId"]
    return session


async def test_a_killed_replicas_events_are_delivered_by_another(tmp_path: Path) -> None:
    live, late, other = Receiver(), Receiver(), Receiver(lambda _: "307", secret=ROTATED)
    port = free_port()
    async with receiving(live), receiving(other):
        late_url = f"http://127.0.0.1:{port}/results"
        webhooks = [
            {"name": "live", "url": live.url, "secret": [ROTATED, SECRET], "events": "*"},
            {"name": "late", "url": late_url, "secret": SECRET},
            {"name": "ends", "url": other.url, "secret": ROTATED, "events": ["session.ended"]},
        ]
        async with replica_pair(
            tmp_path,
            history_url=f"sqlite+aiosqlite:///{tmp_path}/history.db",
            event_webhooks=json.dumps(webhooks),
            webhook_allowed_hosts="127.0.0.1/32",
        ) as it:
            lost = await resumed_and_lost(it)
            expected = ["session.started", "tool.failed", "session.resumed"]
            await until(lambda: sorted(told(live, lost)) == sorted(expected))

            async def kept() -> bool:
                return len(await deliveries(it, receiver="late")) == 3

            await until(kept)
            await it.replicas[0].kill()
            async with receiving(late, port):
                await until(lambda: len(told(late, lost)) == 3, within=60)
                assert told(late, lost) == told(live, lost)
                await ended_and_sent_again(it, live, late)
            schemas = (await it.backend.get(f"{it.replicas[1].base}/openapi.json")).json()
            fits(schemas, [*live.order, *late.order])
            await until(lambda: other.tries)
            assert other.elsewhere == 0

            async def is_settled() -> bool:
                metric = 'relay_event_backlog{receiver="live"}'
                return await it.replicas[1].metric(metric) == 0

            await until(is_settled)


async def ended_and_sent_again(it: ReplicaPair, live: Receiver, late: Receiver) -> None:
    """A whole session on the second replica; its end is then sent again by its id."""
    data = {"agent": "echo", "marker": "e2"}
    ticket = (await it.mint(it.replicas[1].base, additional_data=data, subject="bob"))["ticket"]
    async with browser(f"{it.replicas[1].ws}/ws?ticket={ticket}", native=True) as page:
        session = await page.connected()
        assert await page.terminate() == 1000
    await until(lambda: told(live, session) == ["session.started", "session.ended"])
    await until(lambda: told(late, session) == ["session.started", "session.ended"])
    mine = (body for body in live.order if body["data"]["session_id"] == session)
    end = next(body["data"] for body in mine if body["type"] == "session.ended")
    assert (end["code"], end["reason"], end["agent"]) == (1000, "ended", "default")
    assert end["seconds"] > 0
    assert end["tool_calls"] == end["tools_failed"] == 0

    async def settled() -> dict[str, Any] | None:
        rows = await deliveries(it, receiver="live", status="delivered")
        ends = [row for row in rows if row["session_id"] == session]
        return next((row for row in ends if row["type"] == "session.ended"), None)

    row: dict[str, Any] = await until(settled)
    again = f"{it.replicas[1].base}/v1/deliveries/{row['id']}/redeliver"
    assert (await it.backend.post(again)).status_code == 202
    await until(lambda: len(live.taken[row["id"]]) == 2)
    unknown = f"{it.replicas[1].base}/v1/deliveries/msg_none/redeliver"
    assert (await it.backend.post(unknown)).status_code == httpx.codes.NOT_FOUND
    wrong = await it.backend.get(f"{it.replicas[1].base}/v1/deliveries?status=lost")
    assert wrong.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert wrong.json()["faults"][0]["at"] == "query.status"
    bad = await it.backend.get(f"{it.replicas[1].base}/v1/deliveries?cursor=bm9uZQ")
    assert bad.status_code == httpx.codes.UNPROCESSABLE_ENTITY


def fits(document: dict[str, Any], bodies: list[dict[str, Any]]) -> None:
    """Every body is as `/openapi.json` says."""
    assert len(document["webhooks"]) == 8
    for body in bodies:
        operation = document["webhooks"][body["type"]]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        whole = {**schema, "components": document["components"]}
        Draft202012Validator(whole).validate(body)
    started = next(body for body in bodies if body["type"] == "session.started")
    assert (started["data"]["call_type"], started["data"]["subject"]) == ("chat", "ann")
    failed = next(body for body in bodies if body["type"] == "tool.failed")
    assert (failed["data"]["tool"], failed["data"]["outcome"]) == ("no_such", "unknown")
