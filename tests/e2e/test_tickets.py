"""Tickets: a backend mints one, its user comes in with it, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus

from app.protocol.codec import MAX_DEPTH
from tests.e2e.refusals import ORIGIN, leave, refused, refused_by_status, subject
from tests.support.browser import NATIVE, browser

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_ticket_opens_one_conversation_by_the_url_of_its_answer(
    strict: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    wanted = {
        "subject": "ticket-user",
        "agent": "phone",
        "call_type": "onPhone",
        "endpoint": "+15550001111",
        "additional_data": {"marker": marker, "customer": "c-1"},
    }
    async with strict.api() as backend:
        # Behind a trusted proxy, which tells under which name it was asked.
        proxied = {"x-forwarded-proto": "https", "x-forwarded-host": "relay.example.com"}
        answer = (await backend.post("/v1/tickets", json=wanted, headers=proxied)).json()
    assert answer["url"] == f"wss://relay.example.com/ws/phone?ticket={answer['ticket']}"
    strict.secrets["ticket of the answer"] = answer["ticket"]
    path = answer["url"].removeprefix("wss://relay.example.com")
    async with browser(strict.ws + path, origin=ORIGIN, native=True) as page:
        session = await page.connected()
        assert page.frames[0]["data"]["callType"] == "onPhone"
        assert await page.closed() == 1000
    assert await subject(strict, session) == "ticket-user"
    request = (await vendor.conversation(marker))["received"][0]["frame"]["devRequest"]
    assert request["endpoint"] == "+15550001111"
    assert request["additionalData"]["customer"] == "c-1"
    await refused(strict, path, 4401)
    assert (await refused_by_status(strict.ws + path))["status"] == 401


async def test_url_of_the_answer_is_usable_as_it_is(calm: Gateway) -> None:
    async with calm.api() as backend:
        answer = (await backend.post("/v1/tickets", json={"subject": "u", "agent": "echo"})).json()
    calm.secrets["ticket in a URL"] = answer["ticket"]
    async with browser(answer["url"]) as page:
        await page.connected()
        await leave(page)


@pytest.mark.parametrize("levels", [64, 65, 250, 300, 900])
async def test_data_nests_as_deep_as_a_frame_may_and_no_deeper(calm: Gateway, levels: int) -> None:
    data = '{"a":' * levels + "1" + "}" * levels
    answers = []
    async with calm.api() as backend:
        for path, body in {
            "/v1/tickets": f'{{"subject": "u", "agent": "echo", "additional_data": {data}}}',
            "/v1/calls": f'{{"endpoint": "", "agent": "echo", "additional_data": {data}}}',
            "/v1/sessions/none/events": f'{{"name": "cart", "data": {data}}}',
        }.items():
            headers = {"content-type": "application/json"}
            answers.append(await backend.post(path, content=body, headers=headers))
    told = [(answer.status_code, "levels deep" in answer.text) for answer in answers]
    deep = levels > MAX_DEPTH
    assert told == [(422 if deep else 201, deep), (422, deep), (422 if deep else 404, deep)]


@pytest.mark.parametrize("place", ["subprotocol", "ticket", "token", "vendor's path", "header"])
async def test_ticket_is_taken_from_every_place(strict: Gateway, place: str) -> None:
    ticket = await strict.ticket(f"from {place}")
    options: dict[str, Any] = {}
    path = "/ws/echo"
    match place:
        case "subprotocol":
            options["bearer"] = ticket
        case "header":
            options["additional_headers"] = {"authorization": f"Bearer {ticket}"}
        case "vendor's path":
            path = f"/api/v1/ws/webCall?token={ticket}"
        case parameter:
            path = f"/ws/echo?{parameter}={ticket}"
    async with browser(strict.ws + path, origin=ORIGIN, **options) as page:
        await page.wish()
        session = await page.connected()
        await leave(page)
    assert await subject(strict, session) == f"from {place}"
    assert page.socket.subprotocol == (NATIVE if place == "subprotocol" else None)
    assert ticket not in repr(page.socket.response)


async def test_ticket_is_redeemed_by_one_of_many(strict: Gateway) -> None:
    ticket = await strict.ticket()

    async def attempt() -> int:
        path = f"/ws/echo?call_type=chat&ticket={ticket}"
        async with browser(strict.ws + path, origin=ORIGIN) as page:
            first = await page.read()
            return 0 if first["type"] == "event" else int(first["data"]["code"])

    codes = await asyncio.gather(*(attempt() for _ in range(20)))
    assert sorted(codes) == [0] + [4401] * 19


async def test_expired_ticket_is_refused(strict: Gateway) -> None:
    ticket = await strict.ticket(ttl=0.2)
    await asyncio.sleep(0.3)  # the time to live is what is tested
    await refused(strict, f"/ws/echo?ticket={ticket}", 4401)


@pytest.mark.parametrize("bad", ["bbt_" + "A" * 43, "short", "x" * 8_000, "%00", "bbt_é"])
async def test_made_up_ticket_is_refused(strict: Gateway, bad: str) -> None:
    await refused(strict, f"/ws/echo?ticket={bad}", 4401)


async def test_credential_beyond_all_bounds_is_refused_by_status(strict: Gateway) -> None:
    with pytest.raises(InvalidStatus, match="431"):
        async with browser(f"{strict.ws}/ws/echo", origin=ORIGIN, bearer="x" * 20_000):
            pass


async def test_ticket_for_an_agent_opens_no_other(strict: Gateway) -> None:
    ticket = await strict.ticket(agent="echo")
    await refused(strict, f"/ws/support?ticket={ticket}", 4403)


async def test_ticket_for_a_call_type_overrides_what_the_browser_wishes(strict: Gateway) -> None:
    ticket = await strict.ticket(call_type="chat")
    path = f"/ws/echo?call_type=webCall&ticket={ticket}"
    async with browser(strict.ws + path, origin=ORIGIN) as page:
        await page.started()
        assert page.frames[0]["data"]["callType"] == "chat"
        await leave(page)


async def test_ticket_for_an_origin_is_not_burnt_by_another(strict: Gateway) -> None:
    ticket = await strict.ticket(origin="https://one.example.org")
    await refused(strict, f"/ws/echo?ticket={ticket}", 4401)
    url = f"{strict.ws}/ws/echo?ticket={ticket}"
    async with browser(url, origin="https://one.example.org") as page:
        await page.wish()
        await page.connected()
        await leave(page)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"subject": ""},
        {"subject": "u", "ttl": 301},
        {"subject": "u", "ttl": 0},
        {"subject": "u", "call_type": "fax"},
        {"subject": "u", "origin": "nonsense"},
        {"subject": "u", "unknown": 1},
        {"subject": "u", "additional_data": {"x": "y" * 20_000}},
    ],
)
async def test_unfit_ticket_is_a_problem(strict: Gateway, body: dict[str, Any]) -> None:
    async with strict.api() as backend:
        answer = await backend.post("/v1/tickets", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_ticket_for_an_unknown_agent_is_a_problem(strict: Gateway) -> None:
    async with strict.api() as backend:
        answer = await backend.post("/v1/tickets", json={"subject": "u", "agent": "nobody"})
    assert (answer.status_code, answer.json()["code"]) == (404, 4404)
