"""Dialling: every way to fail has its kind, and none of them tells the key."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from websockets.utils import accept_key, generate_key

from app.websocket.client import DialError, DialFailure, DialTarget
from tests.websocket.vendors import ACCEPTED, KEY, accepting, answering, failure, saying, url


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


EXTENDED = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def test_each_answer_is_judged_whatever_was_right_before() -> None:
    target = DialTarget(url(1))
    keys = [generate_key() for _ in range(40)]
    accepted = [accept_key(key).encode() for key in keys]
    for number, key in enumerate(keys):
        date = b"Date: %d\r\n" % (number // 2)  # so that every other answer is a known one
        target.check_response(ACCEPTED % (accepted[number], date), key)
        for bad in (
            ACCEPTED % (accepted[number - 1], date),
            ACCEPTED % (b"", date),
            ACCEPTED % (accepted[number], date + EXTENDED),
            ACCEPTED % (accepted[number].swapcase(), date),
        ):
            with pytest.raises(DialError):
                target.check_response(bad, key)


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
