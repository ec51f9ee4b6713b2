"""Opening handshakes: the fast path agrees with `websockets`, all else is judged by it."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import PlainTextResponse
from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request
from websockets.server import ServerProtocol

from app.server.handshake import HandshakeRejected, accepted, validate
from app.server.interface import accept
from tests.support.waiting import until
from tests.websocket.handlers import Owner, asgi
from tests.websocket.peers import HANDSHAKE, TEXT, frame
from tests.websocket.site import Site

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
VARIANTS: dict[bytes, list[tuple[bytes, ...]]] = {
    b"connection": [
        *((b"Upgrade",), (b"upgrade",), (b"keep-alive, Upgrade",), (b"keep-alive,upgrade",)),
        *((b"keep-alive", b"Upgrade"), (b"close",), (b"Upgrade/1",), (b"",), ()),
    ],
    b"upgrade": [
        *((b"websocket",), (b"WebSocket",), (b"websocket", b"websocket"), (b"websocket, h2c",)),
        *((b"h2c",), (b"",), ()),
    ],
    b"sec-websocket-key": [
        *((KEY,), (KEY, KEY), (KEY[:-1],), (KEY[:-4],), (KEY + b"AAAA",), (b"x" * 24,)),
        *((b"dGhlIHNhbXBsZSBub25jZR==",), (b"dG-lIHNhbXBsZSBub25jZQ==",), (b"",), ()),
    ],
    b"sec-websocket-version": [(b"13",), (b"8",), (b"13", b"13"), (b"13, 8",), (b"013",), ()],
    b"origin": [(), (b"https://a.example",), (b"https://a.example", b"https://b.example")],
}


def answer_of_websockets(method: str, version: str, headers: list[tuple[bytes, bytes]]) -> Any:
    named = Headers([(name.decode(), value.decode("latin-1")) for name, value in headers])
    response = ServerProtocol().accept(Request("/ws", named, method, f"HTTP/{version}"))
    return response.status_code, response.headers.get("sec-websocket-accept")


def answer_of_ours(method: str, version: str, headers: list[tuple[bytes, bytes]]) -> Any:
    try:
        return 101, validate(method, version, b"/ws", headers)
    except HandshakeRejected as refused:
        status = refused.response.status_code
        if status == 426 and "Sec-WebSocket-Version" in refused.response.headers:
            return 400, None  # for another version `websockets` says 400, and not which it wants
        return status, None


def chosen_upgrade(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """`websockets` refuses a client that offers others beside `websocket`; we choose."""
    offered = b",".join(value for name, value in headers if name == b"upgrade").lower()
    if b"websocket" not in [token.strip() for token in offered.split(b",")]:
        return headers
    kept = [line for line in headers if line[0] != b"upgrade"]
    return [*kept, (b"upgrade", b"websocket")]


def test_every_handshake_is_judged_as_by_websockets() -> None:
    opened = 0
    for chosen in product(*VARIANTS.values()):
        headers = [
            (name, value) for name, values in zip(VARIANTS, chosen, strict=True) for value in values
        ]
        ours = answer_of_ours("GET", "1.1", headers)
        assert ours == answer_of_websockets("GET", "1.1", chosen_upgrade(headers)), headers
        opened += ours[0] == 101
    assert opened > 20


@pytest.mark.parametrize(("method", "version"), [("POST", "1.1"), ("GET", "1.0"), ("GET", "2")])
def test_another_method_or_version_is_refused(method: str, version: str) -> None:
    usual = [(name, values[0][0]) for name, values in VARIANTS.items() if values[0]]
    ours = answer_of_ours(method, version, usual)
    assert ours == answer_of_websockets(method, version, usual)
    assert ours[0] in (405, 505)


@pytest.mark.parametrize("bad", [b"a\r\nb", b"a\nb", b"a\0b"])
def test_no_header_of_an_answer_can_begin_another_line(bad: bytes) -> None:
    with pytest.raises(ValueError, match="break"):
        accepted("x", [(b"name", bad)], None)
    with pytest.raises(ValueError, match="break"):
        accepted("x", [(bad, b"value")], None)
    with pytest.raises(ValueError, match="break"):
        accepted("x", [], bad.decode())


async def test_a_handler_may_accept_and_take_at_once() -> None:
    owners: asyncio.Queue[Owner] = asyncio.Queue()

    async def handler(websocket: WebSocket) -> None:
        socket = await accept(websocket, "chosen")
        with pytest.raises(RuntimeError):
            await accept(websocket)
        owner = Owner(socket)
        socket.open(owner)
        owners.put_nowait(owner)
        await socket.run()

    async with Site(asgi(handler)) as site:
        asked = HANDSHAKE % (b"/ws", b"Sec-WebSocket-Protocol: other, chosen\r\n")
        client = await site.open(asked + frame(TEXT, b"eager"))
        head = await client.within(client.reader.readuntil(b"\r\n\r\n"))
        assert b"Sec-WebSocket-Protocol: chosen\r\n" in head
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert head.lower().count(b"\r\ndate: ") == 1
        await (await owners.get()).until(b"eager")


async def test_a_browser_that_left_before_the_answer_is_an_os_error() -> None:
    asked, raised = asyncio.Event(), asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.receive()
        asked.set()
        assert (await websocket.receive())["type"] == "websocket.disconnect"
        with pytest.raises(OSError):  # noqa: PT011 - any that an ASGI server may raise
            await accept(websocket)
        raised.set()

    async with Site(asgi(handler)) as site:
        client = await site.open(HANDSHAKE % (b"/ws", b""))
        await asked.wait()
        await client.leave()
        await raised.wait()
        await until(lambda: not site.server.server_state.connections)


async def test_an_application_may_answer_by_plain_http() -> None:
    async def handler(websocket: WebSocket) -> None:
        no = PlainTextResponse("no such place", 404, {"x-why": "gone"})
        await websocket.send_denial_response(no)

    async with Site(asgi(handler)) as site:
        with pytest.raises(InvalidStatus) as refused:
            await connect(site.url)
    response = refused.value.response
    assert (response.status_code, response.body) == (404, b"no such place")
    assert response.headers["x-why"] == "gone"
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("crash", [True, False], ids=["crashes", "says nothing"])
async def test_an_application_that_gives_no_answer_is_a_500(
    crash: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: Any, *_: Any) -> None:
        if crash:
            raise ValueError(scope["path"])

    async with Site(application) as site:
        with pytest.raises(InvalidStatus) as refused:
            await connect(site.url)
    assert refused.value.response.status_code == 500
    said = "Exception in ASGI application" if crash else "without completing handshake"
    assert said in caplog.text


async def test_a_server_that_stops_closes_what_nobody_has_taken() -> None:
    accepted_ = asyncio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        accepted_.set()
        await asyncio.Event().wait()

    async with Site(asgi(handler)) as site:
        client = await site.connect()
        await accepted_.wait()
        site.server.should_exit = True
        assert await client.close_code() == 1012
