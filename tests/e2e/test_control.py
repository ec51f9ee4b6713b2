"""Backends speak into a live session and end it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.support.browser import browser
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.gateway import Emulator, Gateway

pytestmark = pytest.mark.asyncio(loop_scope="package")

DEEP = '{"name": "cart", "data": ' + '{"a":' * 900 + "1" + "}" * 900 + "}"


def path(session: str, what: str = "") -> str:
    return f"/v1/sessions/{session}{what}"


async def test_backend_speaks_in_three_names_and_in_one_order(
    calm: Gateway, vendor: Emulator
) -> None:
    marker = uuid4().hex
    async with browser(f"{calm.ws}/ws/echo", native=True) as page, calm.api() as backend:
        await page.wish(marker=marker)
        session = await page.connected()
        ids = []
        for role in ("agent", "notice", "user"):
            body = {"content": f"as {role}", "as": role}
            answer = await backend.post(path(session, "/messages"), json=body)
            assert answer.status_code == 202, answer.text
            ids.append(answer.json()["message_id"])
        event = {"name": "cart", "data": {"items": [1, None]}}
        assert (await backend.post(path(session, "/events"), json=event)).status_code == 202
        await page.frame("event", "relay.cart")
        await page.talks("over")
        shown = [
            frame
            for frame in page.frames
            if frame.get("id") in ids or str(frame.get("name", "")).startswith("relay.cart")
        ]
        assert shown[0]["content"] == {
            "source": "assistant",
            "text": "as agent",
            "speaker": "backend",
        }
        assert (shown[1]["name"], shown[1]["data"]) == ("relay.notice", {"content": "as notice"})
        assert (shown[2]["name"], shown[2]["data"]) == ("relay.cart", event["data"])
        assert [frame.get("number") for frame in shown] == [None, 1, 2]
        assert [frame["id"] for frame in shown[:2]] == ids[:2]
        echo = next(f for f in page.frames if (f.get("content") or {}).get("text") == "as user")
        assert echo["content"]["source"] == "user"
        await page.terminate()
    heard = [kept["frame"] for kept in (await vendor.conversation(marker))["received"]]
    said = [frame["content"] for frame in heard if frame["type"] == "incomingChatMessage"]
    assert said == ["as user", "over"]


async def left_page(calm: Gateway) -> tuple[str, str, int]:
    """A page that has gone away: its session, its resume token, and how many frames it has."""
    async with browser(f"{calm.ws}/ws/echo?call_type=chat", native=True) as page:
        session = await page.connected()
        await page.talks()
        token = page.frames[0]["data"]["resume"]["token"]
        counted = len([f for f in page.frames if not str(f.get("name", "")).startswith("relay.")])
    calm.secrets["resume token"] = token
    async with calm.api() as backend:

        async def away() -> bool:
            return bool((await backend.get(path(session))).json()["browser"] == "away")

        await until(away)
    return session, token, counted


async def test_page_that_was_away_gets_what_was_said_meanwhile_once(calm: Gateway) -> None:
    session, token, counted = await left_page(calm)
    async with calm.api() as backend:
        for number in range(6):
            what = {"content": f"#{number}", "as": ("agent", "notice")[number % 2]}
            answer = await backend.post(path(session, "/messages"), json=what)
            assert answer.status_code == 202, answer.text
        url = f"{calm.ws}/ws?resume={token}&received={counted}"
        async with browser(url, native=True) as page:
            assert (await page.frame("event", "relay.resumed"))["data"]["replayed"] == 3
            frames = [await page.read() for _ in range(6)]
            said = [(f.get("content") or {}).get("text") or f["data"]["content"] for f in frames]
            assert said == [f"#{number}" for number in range(6)]
            await page.terminate()


async def test_full_buffer_of_a_page_that_is_away_refuses_and_loses_nothing(calm: Gateway) -> None:
    session, token, counted = await left_page(calm)
    async with calm.api() as backend:
        taken = 0
        for role in ("agent", "notice"):
            for _ in range(100):
                body = {"content": "x" * 30_000, "as": role}
                answer = await backend.post(path(session, "/messages"), json=body)
                if answer.status_code != 202:
                    break
                taken += 1
            problem = answer.json()
            assert answer.status_code == 429, problem
            assert problem["limit"] in {1 << 20, 256 * 1024}
            assert answer.headers["retry-after"] == "1"
        url = f"{calm.ws}/ws?resume={token}&received={counted}"
        async with browser(url, native=True) as page:
            await page.frame("event", "relay.resumed")
            long = [await page.read() for _ in range(taken)]
            assert all("x" * 30_000 in str(frame) for frame in long)
            await page.terminate()


@pytest.mark.parametrize(
    ("code", "message", "closes", "told"),
    [
        (None, "Goodbye.", 1000, {"content": "Goodbye."}),
        (4403, "Not with us.", 4403, {"message": "Not with us."}),
    ],
)
async def test_session_ends_with_a_sentence(
    calm: Gateway, code: int | None, message: str, closes: int, told: dict[str, str]
) -> None:
    async with browser(f"{calm.ws}/ws/echo?call_type=chat") as page, calm.api() as backend:
        session = await page.connected()
        body = {"message": message} | ({} if code is None else {"code": code})
        answer = await backend.request("DELETE", path(session), json=body)
        assert answer.status_code == 204, answer.text
        assert await page.closed() == closes
        last = page.frames[-1]
        assert told.items() <= last["data"].items()


async def test_key_makes_a_request_one_request(calm: Gateway) -> None:
    async with browser(f"{calm.ws}/ws/echo?call_type=chat") as page, calm.api() as backend:
        session = await page.connected()
        headers = {"idempotency-key": uuid4().hex}
        body = {"content": "once", "as": "agent"}
        sent = [
            backend.post(path(session, "/messages"), json=body, headers=headers) for _ in range(8)
        ]
        answers = await asyncio.gather(*sent)
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["message_id"] for answer in answers}) == 1
        other = await backend.post(
            path(session, "/messages"), json=body | {"content": "twice"}, headers=headers
        )
        assert other.status_code == 422
        assert other.json()["member"] == "Idempotency-Key"
        end = {"idempotency-key": uuid4().hex}
        assert (await backend.delete(path(session), headers=end)).status_code == 204
        await page.closed()
        assert [f["content"]["text"] for f in page.frames if f["type"] == "text"] == ["once"]

        async def gone() -> bool:
            return (await backend.get(path(session))).status_code == 404

        await until(gone)
        assert (await backend.delete(path(session), headers=end)).status_code == 204, "as before"
        assert (await backend.delete(path(session))).status_code == 404


@pytest.mark.parametrize(
    ("what", "body", "status", "named"),
    [
        ("/messages", {"content": "x", "as": "vendor"}, 422, "as"),
        ("/messages", {"content": "", "as": "user"}, 422, "content"),
        ("/messages", {"as": "user"}, 422, "content"),
        ("/messages", {"content": "x", "as": "user", "mood": 1}, 422, "mood"),
        ("/messages", {"content": "x" * 32_769, "as": "user"}, 413, "32768"),
        ("/messages", {"content": "ü" * 16_385, "as": "agent"}, 413, "32768"),
        ("/messages", {"content": "x" * 70_000, "as": "user"}, 413, "65536"),
        ("/messages", '{"content": "\\ud800", "as": "user"}', 422, "content"),
        ("/messages", '{"content": ', 422, "JSON"),
        ("/events", DEEP, 422, "data"),
        ("/events", '{"name": "cart", "data": {"x": 1e999}}', 404, "session"),
        ("/events", {"name": "Cart", "data": {}}, 422, "name"),
        ("/events", {"name": "notice", "data": {}}, 422, "name"),
        ("/events", {"name": "cart", "data": []}, 422, "data"),
        ("/events", {"name": "cart", "data": {"x": "y" * 16_384}}, 413, "16384"),
        ("", {"code": 1006}, 422, "code"),
        ("", {"message": "x" * 2049}, 413, "2048"),
    ],
)
async def test_what_does_not_fit_is_named_with_its_limit(
    calm: Gateway, what: str, body: Any, status: int, named: str
) -> None:
    async with calm.api() as backend:
        content = {"json": body} if not isinstance(body, str) else {"content": body}
        answer = await backend.request(
            "POST" if what else "DELETE",
            path("never-was", what),
            headers={"content-type": "application/json"},
            **content,
        )
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert named in answer.text


async def test_body_without_a_length_is_bounded_too(calm: Gateway) -> None:
    async def chunks() -> Any:
        for _ in range(10):
            yield b"x" * 10_000

    async with calm.api() as backend:
        answer = await backend.post(
            path("s", "/messages"), content=chunks(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 413
        assert answer.json()["limit"] == 65_536


async def test_session_that_is_not_there_and_one_without_a_page(calm: Gateway) -> None:
    body = {"content": "x", "as": "agent"}
    async with calm.api() as backend:
        answer = await backend.post(path("never-was", "/messages"), json=body)
        assert answer.status_code == 404
        key = {"idempotency-key": "a key"}
        answer = await backend.post(path("never-was", "/messages"), json=body, headers=key)
        assert answer.status_code == 422
        call = {"endpoint": "+15550000001", "agent": "phone"}
        session = (await backend.post("/v1/calls", json=call)).json()["session_id"]

        async def refused() -> bool:
            answer = await backend.post(path(session, "/messages"), json=body)
            return answer.status_code == 409 and answer.json()["title"] == "no_page"

        await until(refused)
        assert (await backend.delete(path(session))).status_code == 204
    async with calm.api("no service token") as stranger:
        assert (await stranger.post(path("s", "/messages"), json=body)).status_code == 401
