"""The upstream leg once it is dialled, and its TLS."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import serve as websockets_serve

from app.websocket.client import DialFailure, dial
from app.websocket.interface import CloseEvent
from app.websocket.io_batcher import IoBatcher
from tests.support.waiting import until
from tests.websocket.handlers import Owner
from tests.websocket.peers import PATIENCE, TEXT, frame
from tests.websocket.vendors import KEY, LIMITS, accepting, answering, failure, opened, url

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _every_log(caplog: pytest.LogCaptureFixture) -> Any:
    """No log line of ours or websockets', at any level, tells the key."""
    caplog.set_level(logging.DEBUG)
    yield
    assert KEY not in caplog.text


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
        await until(lambda: owner.heard == [b"one", b"two", "batch"])
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
    batcher = IoBatcher()
    async with websockets_serve(close, "127.0.0.1", 0) as server:
        owner = await opened(server.sockets[0].getsockname()[1], batcher=batcher)
        assert await owner.end() == CloseEvent(4000, "enough", by_peer=True)
        assert await closed.get() == 4000
    assert len(batcher.timer_wheel) == 0


async def test_upstream_that_breaks_a_rule_is_failed() -> None:
    batcher = IoBatcher()
    async with answering(accepting(frame(TEXT, b"masked"))) as (port, _):
        owner = await opened(port, batcher=batcher, close_timeout=0.2)
        assert await owner.end() == CloseEvent(1002, "", by_peer=False)
        await until(lambda: len(batcher.timer_wheel) == 0)


async def test_silent_upstream_is_dead_within_ping_interval_and_time_out() -> None:
    batcher = IoBatcher()
    async with answering(accepting()) as (port, _):
        begun = time.monotonic()
        owner = await opened(port, batcher=batcher, ping_interval=0.3, ping_timeout=0.2)
        assert await owner.end() == CloseEvent(1006, "", by_peer=False)
        assert time.monotonic() - begun < 5  # 0.5 by the settings; the machine is busy
    assert len(batcher.timer_wheel) == 0


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
        await until(lambda: asked)
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
