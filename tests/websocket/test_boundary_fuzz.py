"""Requests end where h11 says that they end, or the connection does."""

from __future__ import annotations

import asyncio
import os
import time
from random import Random

import pytest

from tests.websocket.boundaries import Reader, difference, read_by_h11
from tests.websocket.streams import stream

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


async def fuzz(first: int, count: int) -> tuple[int, list[str]]:
    """Judge so many seeds; how many requests were read, and the differences."""
    reader, requests, found = Reader(), 0, []
    for begin in range(first, first + count, AT_A_TIME):
        seeds = range(begin, min(begin + AT_A_TIME, first + count))
        for read, differs in await asyncio.gather(*(judge(reader, seed) for seed in seeds)):
            requests += read
            found += [differs] if differs else []
        if len(found) > 10:
            break
    return requests, found


async def test_requests_end_where_h11_says_or_the_connection_does() -> None:
    requests, found = await fuzz(0, 4000)
    assert not found, "\n".join(found)
    assert requests > 2000, "most streams were refused: the grammar says nothing"


@pytest.mark.nightly
async def test_a_million_streams_end_where_h11_says(capsys: pytest.CaptureFixture[str]) -> None:
    count = int(os.environ.get("FUZZ_COUNT", "1000000"))
    first = int(os.environ.get("FUZZ_SEED", str(time.time_ns() // 1000)))
    with capsys.disabled():
        print(f"\nFUZZ_SEED={first} FUZZ_COUNT={count}", flush=True)
    requests, found = await fuzz(first, count)
    with capsys.disabled():
        print(f"{count} streams, {requests} requests read, {len(found)} differences", flush=True)
    assert not found, "\n".join(found)
