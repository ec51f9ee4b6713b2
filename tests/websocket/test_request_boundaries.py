"""No byte of one request becomes part of another (RFC 9112 §11.2): what each socket may not do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from app.websocket.interface import NULL_HANDLER
from tests.support.waiting import until
from tests.websocket.peers import HANDSHAKE, Client
from tests.websocket.site import Site

if TYPE_CHECKING:
    from app.server.interface import Upgrade

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
BODY = b'{"subject": "somebody", "a": 1}'


class Recorder:
    """An application that answers 200 and keeps each request's method, path and whole body."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []

    async def on_upgrade(self, upgrade: Upgrade) -> None:
        (await upgrade.accept()).open(NULL_HANDLER)
        self.seen.append(("WEBSOCKET", upgrade.request.path, b""))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.seen.append((scope["method"], scope["path"], body))
        text = f"{scope['method']} {scope['path']} {len(body)}".encode()
        headers = [(b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def head(lines: bytes, method: bytes = b"POST") -> bytes:
    return method + b" /first HTTP/1.1\r\nHost: test\r\n" + lines + b"\r\n"


async def answers(client: Client) -> list[int]:
    """The statuses of all that comes until the server closes."""
    received = await client.within(client.reader.read())
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", received)]


LAST = b"GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("apart", [False, True], ids=["one segment", "body in its own segment"])
@pytest.mark.parametrize("upgrade", [b"h2c", b"foo", b"h2c, foo", b"TLS/1.0", b"websocket/13"])
@pytest.mark.parametrize("body", [BODY, SMUGGLED, b"\r\n" * 5000 + SMUGGLED])
async def test_the_body_behind_an_unwanted_upgrade_is_the_requests(
    upgrade: bytes, body: bytes, apart: bool
) -> None:
    recorder = Recorder()
    lines = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\nContent-Length: %d\r\n"
    async with Site(recorder.on_upgrade, app=recorder) as site:
        sent = head(lines % (upgrade, len(body)))
        client = await site.open(sent if apart else sent + body + LAST)
        if apart:
            await until(lambda: bool(site.server.server_state.tasks))
            client.writer.write(body)
            await until(lambda: len(recorder.seen) == 1)
            client.writer.write(LAST)
        assert await answers(client) == [200, 200]
    assert recorder.seen == [("POST", "/first", body), ("GET", "/last", b"")]


async def test_a_chunked_body_behind_an_unwanted_upgrade_is_the_requests() -> None:
    recorder = Recorder()
    lines = b"Connection: Upgrade\r\nUpgrade: foo\r\nTransfer-Encoding: chunked\r\n"
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(head(lines) + body + head(lines) + body + LAST)
        assert await answers(client) == [200, 200, 200]
    assert [seen[2] for seen in recorder.seen] == [SMUGGLED, SMUGGLED, b""]


@pytest.mark.parametrize("behind", [b"", SMUGGLED])
async def test_a_get_with_an_unwanted_upgrade_is_a_plain_get(behind: bytes) -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        asked = head(b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"GET")
        client = await site.open(asked + behind + LAST)
        assert set(await answers(client)) == {200}
    expected = ["/first", *(["/smuggled"] if behind else []), "/last"]
    assert [seen[1] for seen in recorder.seen] == expected


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: Upgrade", b"Connection: keep-alive", b"Upgrade: websocket"),
        (b"Connection: keep-alive", b"Connection: Upgrade", b"Upgrade: websocket"),
        (b"Connection: Upgrade", b"Connection: close", b"Upgrade: websocket"),
        (b"Upgrade: websocket", b"Upgrade: h2c", b"Connection: Upgrade"),
        (b"Upgrade: h2c", b"Connection: Upgrade", b"Upgrade: websocket"),
        (b"Upgrade: h2c, websocket", b"Connection: Upgrade"),
        (b"Upgrade: WebSocket", b"Connection: foo ,\tUPGRADE , bar"),
    ],
)
async def test_lines_of_one_list_are_one_list_in_any_order(lines: tuple[bytes, ...]) -> None:
    recorder = Recorder()
    usual = HANDSHAKE.replace(b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"")
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(usual % (b"/ws", b"".join(line + b"\r\n" for line in lines)))
        got = await client.within(client.reader.readuntil(b"\r\n\r\n"))
        assert got.startswith(b"HTTP/1.1 101 ")
    assert recorder.seen == [("WEBSOCKET", "/ws", b"")]


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: 5 5\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length : 5\r\n",
        b"Content-Length\x00: 5\r\n",
        b" Content-Length: 5\r\n",
        b"X: y\r\n Content-Length: 5\r\n",
        b"X: y\r\n\tfolded\r\nContent-Length: 5\r\n",
        b"X: y\nContent-Length: 5\r\n",
        b"X: y\rContent-Length: 5\r\n",
        b"X: \x00\r\nContent-Length: 5\r\n",
        b"X: \x01\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Host: other\r\nContent-Length: 5\r\n",
        b"Expect: 200-ok\r\nContent-Length: 5\r\n",
    ],
)
async def test_a_request_whose_end_is_in_doubt_is_refused_and_nothing_is_read_behind_it(
    lines: bytes,
) -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(head(lines) + b"0\r\n\r\n" + SMUGGLED * 2)
        (status,) = await answers(client)
        assert 400 <= status < 600
    assert recorder.seen == []


@pytest.mark.parametrize(
    "chunks",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5;\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nContent-Length 5\r\n\r\n",
    ],
)
async def test_a_chunk_whose_end_is_in_doubt_ends_the_connection(chunks: bytes) -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(head(b"Transfer-Encoding: chunked\r\n") + chunks + SMUGGLED)
        assert await answers(client) == [400]
    assert recorder.seen == []


async def test_a_refusal_is_not_taken_for_the_answer_to_an_earlier_request() -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(head(b"Content-Length: 2\r\n") + b"hi" + b"BROKEN \0\r\n\r\n")
        assert await answers(client) == [200]
    assert recorder.seen == [("POST", "/first", b"hi")]


async def test_a_handshake_behind_an_unanswered_request_is_not_opened() -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(head(b"", b"GET") + HANDSHAKE % (b"/ws", b""))
        assert await answers(client) == [200]
    assert recorder.seen == [("GET", "/first", b"")]


async def test_a_request_that_expects_100_is_its_connections_last() -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(head(b"Expect: 100-continue\r\nContent-Length: 2\r\n"))
        await client.within(client.reader.readuntil(b"HTTP/1.1 100 Continue\r\n\r\n"))
        client.writer.write(b"hi" + SMUGGLED)
        assert await answers(client) == [200]
    assert recorder.seen == [("POST", "/first", b"hi")]


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        (b"http://test/first?a", "/first"),
        (b"HTTP://test", "/"),
        (b"http://other/first", None),
        (b"http://test@other/first", None),
        (b"//other/first", "//other/first"),
        (b"ftp://test/first", None),
        (b"first", None),
        (b"/first#fragment", None),
        (b"*", None),
    ],
)
async def test_an_absolute_target_counts_where_it_is_this_hosts(
    target: bytes, seen: str | None
) -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(
            b"GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % target
        )
        assert await answers(client) == [400 if seen is None else 200]
    assert [path for _, path, _ in recorder.seen] == ([] if seen is None else [seen])


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1\r\n",
        b"GET /  HTTP/1.1\r\n",
        b"GET\t/ HTTP/1.1\r\n",
        b"GET / RTSP/1.0\r\n",
        b"GET / ICE/1.0\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET / HTTP/1.1\n",
        b"GET /\r\n",
        b"\nGET / HTTP/1.1\r\n",
        b"\rGET / HTTP/1.1\r\n",
    ],
)
async def test_a_request_line_of_another_shape_is_refused(line: bytes) -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(line + b"Host: test\r\n\r\n" + SMUGGLED)
        assert await answers(client) == [400]
    assert recorder.seen == []


async def test_empty_lines_before_a_request_are_skipped() -> None:
    recorder = Recorder()
    async with Site(recorder.on_upgrade, app=recorder) as site:
        client = await site.open(b"\r\n\r\n" + SMUGGLED + b"\r\n" + LAST)
        assert await answers(client) == [200, 200]
    assert [seen[1] for seen in recorder.seen] == ["/smuggled", "/last"]


async def test_a_chunked_body_of_empty_lines_alone_is_refused() -> None:
    recorder = Recorder()
    body = b"\r\n\r\n" * 20_000
    async with Site(recorder.on_upgrade, app=recorder) as site:
        sent = head(b"Transfer-Encoding: chunked\r\n") + b"%x\r\n%s\r\n0\r\n\r\n" % (
            len(body),
            body,
        )
        client = await site.open(sent + SMUGGLED)
        assert await answers(client) == [400]
    assert recorder.seen == []
