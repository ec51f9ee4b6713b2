"""Calls that a backend starts: the vendor's fields, their status, many at once, cancelling."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support import gateway as processes
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBER = "+15550002222"
TOKEN = "canary+web/integration=token"
RINGING = {"ringSeconds": 60.0}
AGENTS: dict[str, Any] = {
    "phone": processes.AGENTS["phone"],
    "echo": processes.AGENTS["echo"],
    "other": processes.AGENTS["phone"] | {"upstream": "webcall", "web_integration_token": TOKEN},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(
    emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Gateway, Gateway]]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        given: dict[str, Any] = {"agents": AGENTS, "state_url": redis.url}
        async with (
            processes.gateway(emulator.url, **given) as first,
            processes.gateway(emulator.url, **given) as second,
        ):
            yield first, second


async def started(gateway: Gateway, data: dict[str, Any], **more: Any) -> str:
    body = {"agent": "phone", "endpoint": NUMBER, "additional_data": data, **more}
    async with gateway.api() as backend:
        answer = await backend.post("/v1/calls", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["session_id"])


async def shown(gateway: Gateway, call: str) -> dict[str, Any]:
    async with gateway.api() as backend:
        answer = await backend.get(f"/v1/calls/{call}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def reached(gateway: Gateway, call: str, status: str) -> dict[str, Any]:
    async def holds() -> dict[str, Any] | None:
        found = await shown(gateway, call)
        return found if found["status"] == status else None

    found: dict[str, Any] = await until(holds, within=30, every=0.1)
    return found


async def cancelled(gateway: Gateway, call: str) -> int:
    async with gateway.api() as backend:
        return (await backend.delete(f"/v1/calls/{call}")).status_code


async def test_vendor_s_fields_go_into_dev_request(
    replicas: tuple[Gateway, Gateway], emulator: Emulator
) -> None:
    marker = uuid4().hex
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    await started(
        replicas[0],
        {"marker": marker, "turns": 1},
        priority=7,
        call_deadline=deadline.isoformat(),
        timezone="Europe/Berlin",
        override_outbound_config={"phoneNumber": "+15550009999", "display_name": "Shop", "x": 1},
    )
    request = (await emulator.conversation(marker, ended=True))["received"][0]["frame"]
    told = request["devRequest"]
    assert told["priority"] == 7
    assert dt.datetime.fromisoformat(told["callDeadline"]) == deadline
    assert told["timezone"] == "Europe/Berlin"
    assert told["overrideOutboundConfig"] == {
        "phoneNumber": "+15550009999",
        "displayName": "Shop",
        "x": 1,
    }


async def test_call_is_shown_on_every_replica_until_after_its_end(
    replicas: tuple[Gateway, Gateway], emulator: Emulator
) -> None:
    first, second = replicas
    marker = uuid4().hex
    call = await started(first, {"marker": marker, "turns": 2})
    told = await reached(second, call, "Completed")
    vendor_id = (await emulator.conversation(marker, ended=True))["id"]
    assert told["vendor_call_id"] == vendor_id
    assert told["inspector_url"] == f"https://inspector.example.com/calls/{vendor_id}"
    assert (told["agent"], told["endpoint"], told["error"]) == ("phone", NUMBER, None)
    assert told["created_time"] < told["completed_time"]
    assert await cancelled(second, call) == 409
    assert NUMBER not in first.log


async def test_call_that_rings_is_cancelled_from_another_replica(
    replicas: tuple[Gateway, Gateway], emulator: Emulator
) -> None:
    first, second = replicas
    marker = uuid4().hex
    call = await started(first, {"marker": marker, **RINGING})
    await emulator.conversation(marker)
    assert (await shown(second, call))["status"] == "Queued"
    assert await cancelled(second, call) == 204
    assert (await reached(second, call, "Canceled"))["completed_time"] is not None
    assert (await emulator.conversation(marker, ended=True))["terminated"] is True
    assert await cancelled(first, call) == 409


async def test_call_in_progress_is_not_cancelled(replicas: tuple[Gateway, Gateway]) -> None:
    first, _ = replicas
    call = await started(first, {"turns": 500, "pace": 0.5})
    await reached(first, call, "Running")
    assert await cancelled(first, call) == 409
    async with first.api() as backend:
        assert (await backend.delete(f"/v1/sessions/{call}")).status_code == 204
    await until(lambda: first.lines("session_ended", session=call))


async def test_call_that_nobody_answers_has_failed(replicas: tuple[Gateway, Gateway]) -> None:
    first, second = replicas
    call = await started(first, {"answer": False})
    assert (await reached(second, call, "Failed"))["error"] == "No answer"


async def test_bulk_has_a_result_for_each_call(
    replicas: tuple[Gateway, Gateway], emulator: Emulator
) -> None:
    marker = uuid4().hex
    data = {"turns": 1}
    good = {"agent": "phone", "endpoint": NUMBER, "additional_data": data | {"marker": marker}}
    calls = [
        good,
        good | {"endpoint": "+19005551234"},
        good | {"agent": "nobody"},
        good | {"agent": "other", "priority": 1},
        {"agent": "phone", "endpoint": NUMBER, "additional_data": data},
    ]
    async with replicas[0].api() as backend:
        answer = await backend.post("/v1/calls/bulk", json={"calls": calls})
        many = await backend.post("/v1/calls/bulk", json={"calls": 101 * [good]})
        none = await backend.post("/v1/calls/bulk", json={"calls": []})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 403, 404, 422, 201]
    assert "RELAY_UPSTREAM=dev" in results[3]["problem"]["detail"]
    assert results[0]["problem"] is None
    await emulator.conversation(marker, ended=True)
    await reached(replicas[1], results[4]["session_id"], "Completed")
    assert (many.status_code, none.status_code) == (422, 422)


@pytest.mark.parametrize(
    "more",
    [
        {"priority": -1},
        {"priority": "high"},
        {"call_deadline": "2020-01-01T00:00:00Z"},
        {"call_deadline": "tomorrow"},
        {"timezone": "Europe/Berlin; rm"},
        {"timezone": ""},
        {"override_outbound_config": "x"},
        {"override_outbound_config": {"phoneNumber": 7}},
        {"priority": 1, "agent": "other"},
    ],
    ids=str,
)
async def test_bad_fields_are_a_problem(
    replicas: tuple[Gateway, Gateway], more: dict[str, Any]
) -> None:
    async with replicas[0].api() as backend:
        body = {"agent": "phone", "endpoint": NUMBER, **more}
        answer = await backend.post("/v1/calls", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_unknown_call_and_session_of_a_browser_are_no_calls(
    replicas: tuple[Gateway, Gateway],
) -> None:
    async with replicas[0].api() as backend:
        for call in ("0" * 32, "x", "%2e%2e"):
            assert (await backend.get(f"/v1/calls/{call}")).status_code == 404
            assert (await backend.delete(f"/v1/calls/{call}")).status_code == 404
