"""Many sessions for a long time: what memory, the loop and the sessions' ends do meanwhile.

`HOURS=8 make soak`. One gateway and one emulator, as processes; each session is a chat that says
something every few seconds and hears it again. Memory is judged over the second half of the run, by
least squares.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.proof.failing import attempt
from tests.proof.report import Bound, Proof, Result
from tests.support.gateway import Gateway, emulator
from tests.support.plain import plain_client

if TYPE_CHECKING:
    from pathlib import Path

EVERY: Final = 10.0  # seconds between two texts of a session
SAMPLE: Final = 1.0
SLOPE: Final = 1.0  # MB an hour
NOISE: Final = 2.0  # MB that an allocator may keep, whatever the length of the run
LAG: Final = 0.020  # seconds, p99
AT_ONCE: Final = 50  # handshakes


@dataclass
class Watched:
    """What was seen: memory (MB) and lag (s) by time, and what the sessions met."""

    memory: list[tuple[float, float]] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    answered: int = 0
    unanswered: int = 0
    closed: list[int] = field(default_factory=list)


def slope(points: list[tuple[float, float]]) -> float:
    """The slope of a line through points, by least squares."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    across = sum((x - mean_x) ** 2 for x, _ in points)
    if not across:
        return 0.0
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / across


async def session(
    gateway: Gateway, gate: asyncio.Semaphore, over: asyncio.Event, watched: Watched, seed: str
) -> None:
    """Talk until it is over, then end."""
    dice = random.Random(seed)  # noqa: S311 - to be had again
    url = f"{gateway.ws}/ws/echo?call_type=chat"
    options: dict[str, Any] = {"compression": None, "proxy": None, "open_timeout": 60}
    async with gate:
        socket = await connect(url, origin=Origin(gateway.base), ping_interval=None, **options)
    number = 0
    try:
        await asyncio.sleep(dice.uniform(0, EVERY))
        while not over.is_set():
            number += 1
            said = f"#{number}#"
            await socket.send(json.dumps({"type": "incomingChatMessage", "content": said}))
            try:
                async with asyncio.timeout(60):
                    while True:
                        frame = json.loads(await socket.recv())
                        told = frame.get("content") or {}
                        if told.get("source") == "assistant" and told.get("text") == said:
                            break
                watched.answered += 1
            except TimeoutError:
                watched.unanswered += 1
            await asyncio.sleep(dice.uniform(0.5, 1.5) * EVERY)
        await socket.send(json.dumps({"type": "terminate"}))
        async for _ in socket:
            pass
    except ConnectionClosed as closed:
        code = 1006 if closed.rcvd is None else int(closed.rcvd.code)
        if not over.is_set() or code != 1000:
            watched.closed.append(code)


async def watch(gateway: Gateway, over: asyncio.Event, watched: Watched) -> None:
    """Sample memory and lag."""
    assert gateway.process is not None
    process = psutil.Process(gateway.process.pid)
    async with plain_client(timeout=30) as client:
        while not over.is_set():
            watched.memory.append((time.monotonic(), process.memory_info().rss / 1e6))
            text = (await client.get(f"{gateway.base}/metrics")).text
            found = re.search(r"^relay_loop_lag_seconds ([\d.e+-]+)", text, re.MULTILINE)
            if found:
                watched.lags.append(float(found[1]))
            await asyncio.sleep(SAMPLE)


async def soak(bound: Bound, watched: Watched) -> dict[str, float]:
    """Hold the sessions; return what was made, by name."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 3 * bound.count + 500)), hard))
    most = 2 * bound.count + 100
    async with emulator() as vendor:
        gateway = Gateway(
            vendor.url, max_sessions=most, max_sessions_per_ip=most, max_sessions_per_subject=most,
            log_level="info", idle_timeout=600, max_session=86_400,
        )  # fmt: skip
        await gateway.start()
        try:
            await gateway.ready()
            over, gate = asyncio.Event(), asyncio.Semaphore(AT_ONCE)
            async with asyncio.TaskGroup() as tasks:
                for number in range(bound.count):
                    name = f"{bound.seed}.{number}"
                    tasks.create_task(session(gateway, gate, over, watched, name))
                tasks.create_task(watch(gateway, over, watched))
                await asyncio.sleep(bound.seconds)  # that is the soak
                over.set()
        finally:
            await gateway.stop()
    return {"sessions": bound.count, "hours": bound.seconds / 3600}


def judge(watched: Watched, result: Result) -> None:
    """Hold what was seen against the promise."""
    later = watched.memory[len(watched.memory) // 2 :]
    hours = (later[-1][0] - later[0][0]) / 3600 if later else 0.0
    rising = slope([(at / 3600, size) for at, size in later]) if hours else 0.0
    lag = sorted(watched.lags)[max(0, -(-99 * len(watched.lags) // 100) - 1)] if watched.lags else 0
    result.add("texts answered", watched.answered)
    result.add("samples of memory and lag", len(watched.lags))
    result.done["MB of memory at the end"] = watched.memory[-1][1] if watched.memory else 0.0
    result.done["MB that memory rose by in the second half"] = rising * hours
    result.done["loop lag, p99 in ms"] = 1000 * lag
    result.require(not watched.closed, f"closed unexpectedly: {watched.closed[:50]}")
    result.require(not watched.unanswered, f"{watched.unanswered} texts without an answer")
    result.require(
        rising * hours < SLOPE * hours + NOISE,
        f"memory rose by {rising * hours:.1f} MB in {hours} h",
    )
    result.require(lag < LAG, f"loop lag p99 {1000 * lag:.1f} ms")


def run(bound: Bound) -> Result:
    """Soak for `HOURS`, or as long as the bound says."""
    hours = os.environ.get("HOURS")
    if hours:
        bound = Bound(bound.seed, bound.count, float(hours) * 3600)
    result = Result(least=("sessions", "texts answered", "samples of memory and lag"))
    watched = Watched()

    async def held(_: Path) -> dict[str, float]:
        return await soak(bound, watched)

    attempt(held, result, bound.seconds + 300)
    judge(watched, result)
    return result


PROOF: Final = Proof(
    "soak",
    "memory rises by less than 1 MB an hour (beside 2 MB of noise), no session is closed "
    "unexpectedly, the loop's lag stays under 20 ms (p99)",
    count=200,
    seconds=90,
    unit="sessions",
    run=run,
)
