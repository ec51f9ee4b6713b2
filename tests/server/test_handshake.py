"""Opening handshakes are judged as `websockets` judges them."""

from __future__ import annotations

import asyncio
import json
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from app.server.handshake import judge, wants_websocket
from app.server.request_head import MalformedHead
from app.server.response import closing, switching
from tests.websocket.handlers import Owner
from tests.websocket.peers import HANDSHAKE, TEXT, frame
from tests.websocket.site import Site

if TYPE_CHECKING:
    from app.server.interface import Upgrade

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
        return 101, judge(method, version, headers)
    except MalformedHead as refused:
        status = refused.status
        if status == 426 and b"Sec-WebSocket-Version" in dict(refused.lines):
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
        theirs = answer_of_websockets("GET", "1.1", chosen_upgrade(headers))
        if theirs[0] == 400 and not wants_websocket(headers):
            theirs = 426, None  # for a list that it cannot read `websockets` says 400
        assert ours == theirs, headers
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
        switching("x", [(b"name", bad)], None)
    with pytest.raises(ValueError, match="break"):
        closing(403, [(bad, b"value")], b"")
    with pytest.raises(ValueError, match="break"):
        switching("x", [], bad.decode())


async def test_the_chosen_subprotocol_and_the_key_are_answered() -> None:
    owners: asyncio.Queue[Owner] = asyncio.Queue()

    async def endpoint(upgrade: Upgrade) -> None:
        socket = await upgrade.accept("chosen")
        owner = Owner(socket)
        socket.open(owner)
        owners.put_nowait(owner)

    async with Site(endpoint) as site:
        asked = HANDSHAKE % (b"/ws", b"Sec-WebSocket-Protocol: other, chosen\r\n")
        client = await site.open(asked + frame(TEXT, b"eager"))
        head = await client.within(client.reader.readuntil(b"\r\n\r\n"))
        assert b"Sec-WebSocket-Protocol: chosen\r\n" in head
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert head.lower().count(b"\r\ndate: ") == 1
        await (await owners.get()).until(b"eager")


async def test_what_is_refused_before_the_endpoint_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def endpoint(upgrade: Upgrade) -> None:
        raise AssertionError(upgrade)

    asked = (HANDSHAKE % (b"/ws", b"")).replace(b"GET", b"PUT") + frame(TEXT, b"eager")
    async with Site(endpoint) as site:
        client = await site.open(asked)
        head, _, body = (await client.within(client.reader.read())).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET\r\n" in head
    assert json.loads(body)["detail"] == "A WebSocket is opened by GET."
    assert not caplog.records
