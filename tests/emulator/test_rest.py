"""The vendor's REST calls and the control API, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from app.emulator import Emulator, Options
from tests.emulator.peer import Peer, raw

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TOKENS = "/api/v1/web-integrations/int-1/tokens"


@pytest.fixture
async def rest(emulator: Emulator) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {emulator.options.api_key}"}
    async with httpx.AsyncClient(
        base_url=emulator.http_url, headers=headers, trust_env=False, timeout=20
    ) as client:
        yield client


async def dial_with(emulator: Emulator, token: str) -> dict[str, Any]:
    async with Peer.dial(emulator, "webCall", secret=token) as peer:
        with contextlib.suppress(ConnectionClosed):  # a bad token may be closed by now
            await peer.initialize("echo", carries="request")
        return await peer.receive()


async def test_info_describes_both_endpoints(rest: httpx.AsyncClient) -> None:
    info = (await rest.get("/api/v1/ws/info", headers={"Authorization": ""})).json()
    assert info.keys() == {"endpoints", "version", "status"}
    assert [endpoint["path"] for endpoint in info["endpoints"]] == [
        "/api/v1/ws/dev",
        "/api/v1/ws/webCall",
    ]
    for endpoint in info["endpoints"]:
        assert endpoint.keys() == {
            "path",
            "description",
            "requiredParameters",
            "optionalParameters",
            "supportedMessageTypes",
        }
    assert (await rest.post("/api/v1/ws/info")).status_code == 405


async def test_a_minted_token_opens_web_call(rest: httpx.AsyncClient, emulator: Emulator) -> None:
    answer = await rest.post(TOKENS, json={"name": "gateway-1"})
    assert answer.status_code == 201
    body = answer.json()
    assert body.keys() == {"tokenId", "token", "name", "createdAt", "expiresAt"}
    assert body["expiresAt"] is None
    assert (await dial_with(emulator, body["token"]))["name"] == "connection"


async def test_a_second_token_of_a_name_is_a_conflict(rest: httpx.AsyncClient) -> None:
    assert (await rest.post(TOKENS, json={"name": "a"})).status_code == 201
    assert (await rest.post(TOKENS, json={"name": "a"})).status_code == 409
    other = TOKENS.replace("int-1", "int-2")
    assert (await rest.post(other, json={"name": "a"})).status_code == 201


async def test_a_token_past_its_expiry_is_invalid(
    rest: httpx.AsyncClient, emulator: Emulator
) -> None:
    for seconds, expected in ((60, "event"), (-1, "error")):
        expiry = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        body = {"name": f"t{seconds}", "expiresAt": expiry.isoformat().replace("+00:00", "Z")}
        token = (await rest.post(TOKENS, json=body)).json()["token"]
        frame = await dial_with(emulator, token)
        assert frame["type"] == expected
    assert frame["data"]["message"] == "Invalid token"


async def test_tokens_are_listed_without_secrets_and_revoked(
    rest: httpx.AsyncClient, emulator: Emulator
) -> None:
    minted = (await rest.post(TOKENS, json={"name": "a"})).json()
    (listed,) = (await rest.get(TOKENS)).json()
    assert listed == {key: value for key, value in minted.items() if key != "token"}
    assert (await rest.delete(f"{TOKENS}/{minted['tokenId']}")).status_code == 204
    assert (await rest.delete(f"{TOKENS}/{minted['tokenId']}")).status_code == 404
    assert (await dial_with(emulator, minted["token"]))["type"] == "error"
    assert (await rest.post(TOKENS, json={"name": "a"})).status_code == 201


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "emulator-key", "Bearer ü"])
async def test_rest_needs_the_key(rest: httpx.AsyncClient, authorization: str) -> None:
    headers = {b"Authorization": authorization.encode()}
    for method, path in (("POST", TOKENS), ("GET", TOKENS), ("DELETE", f"{TOKENS}/1")):
        answer = await rest.request(method, path, headers=headers)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"name":""}',
        b'{"name":"a","expiresAt":"soon"}',
        b'{"name":"a","expiresAt":7}',
    ],
)
async def test_a_bad_body_is_a_bad_request(rest: httpx.AsyncClient, body: bytes) -> None:
    assert (await rest.post(TOKENS, content=body)).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/emulators", 404),
        ("GET", "/emulator/nothing", 404),
        ("GET", "/emulator/conversations/none", 404),
        ("PUT", "/emulator/faults", 404),
        ("PUT", TOKENS, 405),
        ("PUT", f"{TOKENS}/1", 405),
        ("GET", "/api/v1/ws/dev?authorization=emulator-key", 400),
        ("GET", "/emulator/conversations?ended=many", 400),
    ],
)
async def test_other_requests_are_refused(
    rest: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert (await rest.request(method, path)).status_code == status


@pytest.mark.parametrize(
    "request_",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"POST /emulator/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"
        + b"x" * 99_999,
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /api/v1/ws/dev HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"POST /api/v1/ws/dev HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["no-http", "long-head", "long-body", "bad-chunk", "half-upgrade", "post-upgrade"],
)
async def test_bad_http_gets_a_400_and_the_server_lives(
    emulator: Emulator, request_: bytes
) -> None:
    async with raw(emulator) as (reader, writer):
        writer.write(request_)
        answer = await asyncio.wait_for(reader.readline(), 10)
        assert answer.split()[1] in {b"400", b"405", b"426"}
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.until("event", name="connection")


async def test_half_a_request_is_let_go() -> None:
    options = Options(handshake_timeout=0.1)
    async with Emulator(options) as emulator, raw(emulator) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_the_side_door_shows_what_reached_upstream(
    rest: httpx.AsyncClient, emulator: Emulator
) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo", marker="mine")
        await peer.say("hello")
        await peer.spoken("hello")
        live = (await rest.get("/emulator/conversations?marker=mine")).json()
        assert [c["state"] for c in live["conversations"]] == ["running"]
        assert live["counters"]["sockets_open"] == 2  # this request's among them
        await peer.send("terminate")
        await peer.closed()
    ended = await rest.get("/emulator/conversations?ended=1&marker=mine&timeout=10")
    assert ended.status_code == 200
    (conversation,) = ended.json()["conversations"]
    kinds = [received["frame"]["type"] for received in conversation["received"]]
    assert kinds == ["initialize", "incomingChatMessage", "terminate"]
    assert '"hello"' in conversation["received"][1]["raw"]
    assert conversation["terminated"] is True
    assert conversation["endedBy"] == "client"
    assert conversation["closeSent"] == 1000
    assert conversation["agent"] == "echo"
    one = await rest.get(f"/emulator/conversations/{conversation['id']}")
    assert one.json() == conversation
    others = await rest.get("/emulator/conversations?marker=yours")
    assert others.json()["conversations"] == []


async def test_the_side_door_waits_and_gives_up(
    rest: httpx.AsyncClient, emulator: Emulator
) -> None:
    waiting = asyncio.create_task(rest.get("/emulator/conversations?count=1&timeout=10"))
    async with Peer.dial(emulator):
        assert (await waiting).status_code == 200
        gave_up = await rest.get("/emulator/conversations?ended=1&timeout=0.05")
        assert gave_up.status_code == 408
        assert len(gave_up.json()["conversations"]) == 1


async def test_the_side_door_forgets(rest: httpx.AsyncClient, emulator: Emulator) -> None:
    async with Peer.dial(emulator) as peer:
        await peer.initialize("echo")
        await peer.until("event", name="connection")
        assert (await rest.delete("/emulator/conversations")).status_code == 204
        overview = (await rest.get("/emulator")).json()
        assert overview["counters"]["sockets_open"] == 2
        await peer.say("still served")
        await peer.spoken("still served")
    assert (await rest.get("/emulator/conversations")).json()["conversations"] == []
    assert set(overview) == {"agents", "faults", "switch", "counters"}


async def test_the_fault_switch(rest: httpx.AsyncClient, emulator: Emulator) -> None:
    assert (await rest.get("/emulator/faults")).json() == {"next": None, "count": 0}
    body = {"next": "close", "count": 2, "closeCode": 4000}
    assert (await rest.post("/emulator/faults", json=body)).json() == body
    for code in (4000, 4000, None):
        async with Peer.dial(emulator) as peer:
            await peer.initialize("echo")
            if code:
                assert (await peer.closed())[0] == code
            else:
                await peer.say("fine")
                await peer.spoken("fine")
    await rest.post("/emulator/faults", json={"next": "drop", "count": None})
    assert (await rest.get("/emulator/faults")).json() == {"next": "drop", "count": None}
    assert (await rest.delete("/emulator/faults")).status_code == 204
    assert (await rest.get("/emulator/faults")).json() == {"next": None, "count": 0}


@pytest.mark.parametrize(
    "body", [{}, {"next": "none"}, {"next": "drop", "count": 0}, {"next": "drop", "count": "3"}]
)
async def test_a_bad_order_is_a_bad_request(rest: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await rest.post("/emulator/faults", json=body)).status_code == 400


async def test_the_ledger_is_bounded() -> None:
    options = Options(keep_conversations=3, keep_frames=5, keep_bytes=100_000)
    async with Emulator(options) as emulator:
        for number in range(6):
            async with Peer.dial(emulator) as peer:
                await peer.initialize("echo", marker=str(number))
                for text in range(10):
                    await peer.say(str(text))
                await peer.say("bye")
                await peer.closed()
        await emulator.call_log.until(lambda ledger: ledger.counters["sockets_open"] == 0)
        records = emulator.call_log.records
        assert [record.marker for record in records] == ["3", "4", "5"]
        assert {len(record.received) for record in records} == {5}
        assert {record.received_total for record in records} == {12}


async def test_the_ledgers_bytes_are_bounded_and_given_back() -> None:
    async with Emulator(Options(keep_conversations=2, keep_bytes=3_000)) as emulator:
        for _ in range(6):
            async with Peer.dial(emulator) as peer:
                await peer.initialize("echo")
                await peer.say("x" * 1_000)
                await peer.say("bye")
                await peer.closed()
        kept = sum(record.received_bytes for record in emulator.call_log.records)
        assert 0 < kept <= 3_000


async def test_the_options_repr_holds_no_secret() -> None:
    options = Options(api_key="canary-key", token="canary-token")
    assert "canary" not in repr(options)
