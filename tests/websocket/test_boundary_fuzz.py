"""Requests end where h11 says that they end, or the connection does."""

from __future__ import annotations

import asyncio
import os
import time
from random import Random

import pytest

from tests.websocket.boundaries import Reader, difference, read_by_h11
from tests.websocket.streams import Stream, stream

AT_A_TIME = 50


async def judge(reader: Reader, seed: int) -> tuple[int, str]:
    """Read the stream of a seed both ways; how many requests h11 found, and what differs."""
    random = Random(seed)  # noqa: S311 - to be had again
    made = stream(random)
    early = random.random() < 0.15
    theirs = read_by_h11(made.data)
    ours = await reader.read(made, early=early)
    found = difference(ours, theirs, early=early)
    if found:
        found = f"seed {seed}: {found[:400]}\n  {made.pieces!r:.2000}\n  {ours!r:.1000}"
    return len(ours.requests), found


async def fuzz(first: int, count: int) -> tuple[int, int, list[str]]:
    """Judge so many seeds, unless much differs: the streams, the requests, and the differences."""
    reader, streams, requests, found = Reader(), 0, 0, []
    for begin in range(first, first + count, AT_A_TIME):
        seeds = range(begin, min(begin + AT_A_TIME, first + count))
        for read, differs in await asyncio.gather(*(judge(reader, seed) for seed in seeds)):
            streams += 1
            requests += read
            found += [differs] if differs else []
        if len(found) > 10:
            break
    return streams, requests, found


async def test_requests_end_where_h11_says_or_the_connection_does() -> None:
    _, requests, found = await fuzz(0, 4000)
    assert not found, "\n".join(found)
    assert requests > 2000, "most streams were refused: the grammar says nothing"


async def test_requests_behind_each_other_are_told_apart_wherever_they_are_cut() -> None:
    """Empty lines in each body: they are where a piece is cut, and no request's end."""
    start = b"POST /first HTTP/1.1\r\nHost: test\r\n"
    sent = b"".join(
        (
            start + b"Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\nX: y\r\n\r\n",
            start + b"Content-Length: 4\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\r\n\r\n",
            b"GET /last HTTP/1.1\r\nHost: test\r\n\r\n",
        )
    )
    reader = Reader()
    for at in range(1, len(sent)):
        for pieces in ((sent[:at], sent[at:]), (sent[:at], sent[at : at + 1], sent[at + 1 :])):
            reading = await reader.read(Stream(sent, pieces), early=False)
            assert [seen.body for seen in reading.requests] == [b"\r\n\r\n", b"\r\n\r\n", b""], at
            assert all(seen.complete for seen in reading.requests), at


@pytest.mark.nightly
async def test_a_million_streams_end_where_h11_says(capsys: pytest.CaptureFixture[str]) -> None:
    count = int(os.environ.get("FUZZ_COUNT", "1000000"))
    first = int(os.environ.get("FUZZ_SEED", str(time.time_ns() // 1000)))
    with capsys.disabled():
        print(f"\nFUZZ_SEED={first} FUZZ_COUNT={count}", flush=True)
    streams, requests, found = await fuzz(first, count)
    with capsys.disabled():
        print(f"{streams} streams, {requests} requests read, {len(found)} differences", flush=True)
    assert not found, "\n".join(found)
