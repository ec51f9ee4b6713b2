"""Live sessions and calls, for backends and operators."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.e2e.conftest import READER
from tests.support.browser import browser
from tests.support.gateway import KEY, SERVICE_TOKEN
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def watched(gateway: Gateway, session: str, bearer: str) -> AsyncIterator[dict[str, Any]]:
    async with (
        gateway.api(bearer) as client,
        client.stream("GET", f"/v1/sessions/{session}/watch") as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith(": watching"):
                yield {"kind": "ready"}
            elif line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


async def test_session_is_listed_shown_and_ended(calm: Gateway, vendor: Emulator) -> None:
    marker = uuid4().hex
    async with browser(f"{calm.ws}/ws/echo", native=True) as page, calm.api() as backend:
        await page.wish(marker=marker)
        session = await page.connected()
        await page.talks()
        listed = (await backend.get("/v1/sessions")).json()["sessions"]
        row = (await backend.get(f"/v1/sessions/{session}")).json()
        assert session in [one["id"] for one in listed]
        assert (row["agent"], row["call_type"], row["browser"]) == ("echo", "chat", "here")
        assert (row["frames_in"], row["phase"]) == (2, "live")
        assert "credential_id" not in row
        token = page.frames[0]["data"]["resume"]["token"]
        assert token not in json.dumps([listed, row])
        ended = await backend.delete(f"/v1/sessions/{session}")
        assert ended.status_code == 204
        assert await page.closed() == 1000

        async def gone() -> bool:
            return (await backend.get(f"/v1/sessions/{session}")).status_code == 404

        await until(gone)
    assert (await vendor.conversation(marker, ended=True))["terminated"]
    calm.secrets["resume token"] = token


@pytest.mark.parametrize("reads", [True, False])
async def test_watcher_sees_what_happens_and_what_was_said_only_by_right(
    calm: Gateway, reads: bool
) -> None:
    said = f"canary {uuid4().hex}"
    events = []
    async with browser(f"{calm.ws}/ws/echo?call_type=chat") as page:
        session = await page.connected()
        bearer = READER if reads else SERVICE_TOKEN
        async for event in watched(calm, session, bearer):
            events.append(event)
            if event["kind"] == "ready":
                await page.say(said)
                await page.send({"type": "nonsense"})
                await page.send({"type": "terminate"})
        assert await page.closed() == 1000
    frames = [event for event in events if event["kind"] == "frame"]
    assert {"incomingChatMessage", "text", "conversationResult"} <= {
        event["type"] for event in frames
    }
    assert events[-1]["kind"] == "end"
    assert (said in json.dumps(events)) == reads
    assert KEY not in json.dumps(events)


async def test_watcher_that_leaves_disturbs_nobody(calm: Gateway) -> None:
    async with browser(f"{calm.ws}/ws/echo?call_type=chat") as page:
        session = await page.connected()
        async for _ in watched(calm, session, READER):
            break
        await page.talks("unwatched")
        assert await page.terminate() == 1000


async def test_backend_starts_a_call_that_is_watched_and_ends_by_itself(
    calm: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    body = {
        "agent": "phone",
        "endpoint": "+15550002222",
        "subject": "crm",
        "additional_data": {"marker": marker, "turns": 2},
    }
    async with calm.api() as backend:
        answer = await backend.post("/v1/calls", json=body)
    assert answer.status_code == 201
    session = answer.json()["session_id"]
    await until(lambda: calm.lines("session_ended", session=session, code=1000))
    request = (await vendor.conversation(marker, ended=True))["received"][0]["frame"]
    assert request["devRequest"]["callType"] == "onPhone"
    assert request["devRequest"]["endpoint"] == "+15550002222"
    assert "+15550002222" not in calm.log


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"agent": "phone", "endpoint": "+19005551234"}, 403),
        ({"agent": "nobody", "endpoint": "+15550002222"}, 404),
        ({"agent": "phone"}, 422),
        ({"agent": "phone", "endpoint": "+15550002222", "evil": 1}, 422),
    ],
)
async def test_call_that_may_not_be_made(
    calm: Gateway, vendor: Emulator, body: dict[str, Any], status: int
) -> None:
    dials = (await vendor.counters())["dials"]
    async with calm.api() as backend:
        answer = await backend.post("/v1/calls", json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await vendor.counters())["dials"] == dials
