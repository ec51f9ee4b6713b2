"""Dialling: every way to fail has its kind, and none of them tells the key."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import subprocess
import time
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from websockets.asyncio.server import serve as websockets_serve

from app.wire.limits import WireLimits
from app.wire.socket import Closed
from app.wire.upstream import DialError, DialFailure, dial
from app.wire.wiring import Wiring
from tests.wire.peers import PATIENCE, TEXT, frame
from tests.wire.test_lane import Owner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

KEY = "k3y-that-must-not-leak"
LIMITS = WireLimits()
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n%s\r\n"
)


@asynccontextmanager
async def answering(
    answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A TCP server that answers a request as it is told; gives its port and what it was asked."""
    asked: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        asked.append(request)
        await answer(request, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1], asked
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


def saying(said: bytes, *, close: bool = True) -> Any:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        if close:
            writer.close()

    return answer


def accepting(behind: bytes = b"", extra: bytes = b"", *, wrong: bool = False) -> Any:
    from websockets.utils import accept_key  # noqa: PLC0415

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        key = next(
            line.split(b": ", 1)[1]
            for line in request.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key")
        )
        token = b"wrong" if wrong else accept_key(key.decode()).encode()
        writer.write(ACCEPTED % (token, extra) + behind)

    return answer


def url(port: int, scheme: str = "ws", host: str = "127.0.0.1") -> SecretStr:
    return SecretStr(f"{scheme}://{host}:{port}/api/v1/ws/dev?authorization={KEY}")


def assert_tells_no_key(error: BaseException) -> None:
    seen: BaseException | None = error
    assert KEY not in "".join(traceback.format_exception(error))
    while seen is not None:
        assert KEY not in repr(seen)
        assert KEY not in str(seen)
        seen = seen.__cause__ or seen.__context__


async def failure(where: SecretStr | str, **options: Any) -> DialError:
    options.setdefault("timeout", PATIENCE)
    with pytest.raises(DialError) as failed:
        await dial(where, limits=LIMITS, **options)
    assert_tells_no_key(failed.value)
    return failed.value


async def opened(port: int, **options: Any) -> Owner:
    wiring = options.pop("wiring", None)
    socket = await dial(url(port), limits=WireLimits(**options), timeout=PATIENCE, wiring=wiring)
    owner = Owner(socket)
    owner.text_received = owner.heard.append  # type: ignore[method-assign]
    socket.open(owner)
    return owner


@pytest.fixture(autouse=True)
def _every_log(caplog: pytest.LogCaptureFixture) -> Any:
    """No log line of ours or websockets', at any level, tells the key."""
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_has_its_status(status: int) -> None:
    said = f"HTTP/1.1 {status} No\r\nContent-Length: 100000\r\n\r\nyour key {KEY}".encode()
    async with answering(saying(said, close=False)) as (port, _):
        error = await failure(url(port))
    assert (error.kind, error.status) == (DialFailure.REFUSED, status)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with answering(accepting()) as (elsewhere, asked):
        said = f"HTTP/1.1 {status} Go\r\nLocation: ws://127.0.0.1:{elsewhere}/\r\n\r\n".encode()
        async with answering(saying(said)) as (port, _):
            error = await failure(url(port))
        assert asked == []
    assert (error.kind, error.status) == (DialFailure.REDIRECTED, status)


async def test_nobody_there_is_unreachable() -> None:
    async with answering(saying(b"")) as (port, _):
        pass
    assert (await failure(url(port))).kind is DialFailure.UNREACHABLE


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    assert (await failure(url(1, host="nowhere.invalid"))).kind is DialFailure.UNREACHABLE


async def test_silence_is_a_time_out_and_leaves_nothing() -> None:
    async def silence(_request: bytes, _writer: asyncio.StreamWriter) -> None: ...

    async with answering(silence) as (port, asked):
        error = await failure(url(port), timeout=0.3)
        assert len(asked) == 1
    assert error.kind is DialFailure.TIMEOUT
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n" + b"X: y\r\n" * 10_000,
        b"\x00" * 20_000,
    ],
    ids=["hang-up", "another protocol", "a page", "no upgrade", "endless head", "zeros"],
)
async def test_what_is_no_handshake_is_bad(said: bytes) -> None:
    async with answering(saying(said)) as (port, _):
        assert (await failure(url(port))).kind is DialFailure.BAD_HANDSHAKE


@pytest.mark.parametrize(
    "options",
    [
        {"wrong": True},
        {"extra": b"Sec-WebSocket-Extensions: permessage-deflate\r\n"},
        {"extra": b"Sec-WebSocket-Protocol: chat\r\n"},
    ],
    ids=["wrong key", "compression that nobody asked for", "subprotocol that nobody asked for"],
)
async def test_an_answer_to_another_question_is_bad(options: Any) -> None:
    async with answering(accepting(**options)) as (port, _):
        assert (await failure(url(port))).kind is DialFailure.BAD_HANDSHAKE


@pytest.mark.parametrize(
    "bad",
    [
        f"http://127.0.0.1/?k={KEY}",
        f"ws://?k={KEY}",
        f"ws://host:port/?k={KEY}",
        f"ws://host/?k={KEY}#x",
        f"ws://hö/?k={KEY}",
        f"ws://[::1/?k={KEY}",
        f"ws://127.0.0.1/?k={KEY}\r\nX: y",
    ],
)
async def test_a_bad_url_is_not_quoted(bad: str) -> None:
    assert (await failure(bad)).kind is DialFailure.BAD_URL


async def test_the_request_tells_no_more_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    async with answering(accepting()) as (port, asked):
        (await opened(port)).socket.abort()
    head = asked[0].decode().lower()
    assert head.startswith(f"get /api/v1/ws/dev?authorization={KEY} http/1.1\r\n")
    for absent in ("origin", "extensions", "protocol:", "cookie"):
        assert absent not in head


async def test_frames_right_behind_the_answer_are_delivered() -> None:
    behind = frame(TEXT, b"one", mask=False) + frame(TEXT, b"two", mask=False)
    async with answering(accepting(behind)) as (port, _):
        owner = await opened(port)
        async with asyncio.timeout(PATIENCE):
            while owner.heard != [b"one", b"two", "batch"]:
                await asyncio.sleep(0.01)
        owner.socket.abort()
        await owner.end()


async def test_what_goes_is_masked_with_a_key_of_its_own() -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        await accepting()(request, writer)

    async def raw(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(await reader.readuntil(b"\r\n\r\n"), writer)
        got.put_nowait(await reader.readexactly(2 * (2 + 4 + 5)))
        writer.close()

    server = await asyncio.start_server(raw, "127.0.0.1", 0)
    owner = await opened(server.sockets[0].getsockname()[1])
    owner.socket.send_text(b"hello")
    owner.socket.send_text(b"hello")
    data = await got.get()
    assert data[0:2] == data[11:13] == b"\x81\x85"
    assert data[2:6] != data[13:17]
    await owner.end()
    server.close()


async def test_upstream_that_closes_is_heard_and_answered() -> None:
    async def close(peer: Any) -> None:
        await peer.close(4000, "enough")
        closed.put_nowait(peer.close_code)

    closed: asyncio.Queue[int] = asyncio.Queue()
    wiring = Wiring()
    async with websockets_serve(close, "127.0.0.1", 0) as server:
        owner = await opened(server.sockets[0].getsockname()[1], wiring=wiring)
        assert await owner.end() == Closed(4000, "enough", by_peer=True)
        assert await closed.get() == 4000
    assert len(wiring.wheel) == 0


async def test_upstream_that_breaks_a_rule_is_failed() -> None:
    wiring = Wiring()
    async with answering(accepting(frame(TEXT, b"masked"))) as (port, _):
        owner = await opened(port, wiring=wiring, close_timeout=0.2)
        assert await owner.end() == Closed(1002, "", by_peer=False)
        async with asyncio.timeout(PATIENCE):
            while len(wiring.wheel):
                await asyncio.sleep(0.02)


async def test_silent_upstream_is_dead_within_ping_interval_and_time_out() -> None:
    wiring = Wiring()
    async with answering(accepting()) as (port, _):
        begun = time.monotonic()
        owner = await opened(port, wiring=wiring, ping_interval=0.3, ping_timeout=0.2)
        assert await owner.end() == Closed(1006, "", by_peer=False)
        assert time.monotonic() - begun < 5  # 0.5 by the settings; the machine is busy
    assert len(wiring.wheel) == 0


async def test_any_byte_is_a_sign_of_life() -> None:
    async def chatter(request: bytes, writer: asyncio.StreamWriter) -> None:
        await accepting()(request, writer)
        for _ in range(12):  # never a pong
            await asyncio.sleep(0.1)
            writer.write(frame(TEXT, b"x", mask=False))

    async with answering(chatter) as (port, _):
        owner = await opened(port, ping_interval=0.5, ping_timeout=0.4)
        async with asyncio.timeout(PATIENCE):
            while owner.heard.count(b"x") < 11:
                assert not owner.ended.done()
                await asyncio.sleep(0.05)
        owner.socket.abort()
        await owner.end()


async def test_a_cancelled_dial_leaves_no_socket() -> None:
    async def silence(_request: bytes, _writer: asyncio.StreamWriter) -> None: ...

    async with answering(silence) as (port, asked):
        dialling = asyncio.create_task(dial(url(port), limits=LIMITS, timeout=PATIENCE))
        async with asyncio.timeout(PATIENCE):
            while not asked:
                await asyncio.sleep(0.01)
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await asyncio.sleep(0)
        gc.collect()  # an open transport would warn, and warnings are errors


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", room / "key.pem", "-out", room / "cert.pem"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return room


def server_side(room: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(room / "cert.pem", room / "key.pem")
    return context


async def test_tls_with_a_trusted_certificate_works(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    async with answering(accepting(), server_side(certificate)) as (port, _):
        socket = await dial(
            url(port, "wss", "localhost"), limits=LIMITS, timeout=PATIENCE, ssl=trusting
        )
        owner = Owner(socket)
        socket.open(owner)
        socket.abort()
        await owner.end()


async def test_tls_is_verified(certificate: Path) -> None:
    async with answering(accepting(), server_side(certificate)) as (port, _):
        error = await failure(url(port, "wss", "localhost"))
    assert error.kind is DialFailure.TLS


async def test_tls_is_verified_for_the_name_that_was_dialled(certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    async with answering(accepting(), server_side(certificate)) as (port, _):
        error = await failure(url(port, "wss"), ssl=trusting)
    assert error.kind is DialFailure.TLS


async def test_plain_text_where_tls_was_meant_is_a_tls_failure() -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    error = await failure(url(server.sockets[0].getsockname()[1], "wss"))
    assert error.kind is DialFailure.TLS
    server.close()
