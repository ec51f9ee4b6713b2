"""Measure what a conversation costs on this machine, for capacity.py.

Starts the bundled emulator, the gateway and, if asked, a Redis that is there, then opens
conversations step by step and writes slopes as JSON. Needs the project's own environment:

    python deploy/measure.py --output deploy/capacity.json [--redis redis://127.0.0.1:6379/0]

Costs are the gateway's alone, read from /proc: CPU time, proportional memory (PSS), descriptors.
The load generator and the emulator share the machine, which slows them, and not these figures.
Takes about two minutes. Exits 1 if the gateway ended by itself.
"""
# ruff: noqa: T201 - a script speaks by printing

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from deploy.probe import Process, answers, fetch, free_port, processor, slope, started
else:  # a script finds what lies beside it
    from probe import Process, answers, fetch, free_port, processor, slope, started

KEY = "measured-key"
NATIVE = [Subprotocol("blackbox-relay.v1")]
AGENTS = {"default": {"initialize": {"additionalData": {"agent": "echo"}}}}
REDIS_TALK = 5.0  # seconds over which an idle session's heartbeats at the store are counted


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("capacity.json"))
    parser.add_argument("--sessions", type=int, default=600, help="at the last step (%(default)s)")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--messages", type=int, default=20_000, help="texts sent (%(default)s)")
    parser.add_argument("--idle", type=float, default=15.0, metavar="SECONDS")
    parser.add_argument("--redis", default=None, help="a store that nobody else uses meanwhile")
    options = parser.parse_args()
    figures = asyncio.run(measure(options))
    options.output.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    return 0


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run all of it; return the figures."""
    vendor, public = free_port(), free_port()
    with (
        started("app.emulator", "--port", str(vendor), "--api-key", KEY, "--quiet"),
        started("app", "serve", RELAY_PORT=str(public), **settings(vendor, options)) as pid,
    ):
        await answers(f"http://127.0.0.1:{vendor}/api/v1/ws/info")
        await answers(f"http://127.0.0.1:{public}/readyz")
        gateway = Process(pid)
        await converse(public, 20, 200)  # what is made once is made now
        await nobody_left(public)
        idle = await climb(gateway, public, options)
        await nobody_left(public)
        talk = await converse(public, 64, options.messages, gateway)
        await nobody_left(public)
        redis = await store_use(public, options.redis) if options.redis else {}
        return {
            "machine": {
                "cpu": processor(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                # Far above the cores: the figures of CPU are too high, for caches were shared.
                "load_average": round(os.getloadavg()[0], 1),
            },
            **idle,
            **talk,
            **redis,
        }


def settings(vendor: int, options: argparse.Namespace) -> dict[str, str]:
    """The gateway's environment: open, quiet, without the caps that a load generator would hit."""
    return {
        "RELAY_HOST": "127.0.0.1",
        "RELAY_BLACKBOX_URL": f"ws://127.0.0.1:{vendor}",
        "RELAY_BLACKBOX_API_KEY": KEY,
        "RELAY_AUTH": "open",
        "RELAY_AGENTS": json.dumps(AGENTS),
        "RELAY_MAX_SESSIONS_PER_SUBJECT": "100000",
        "RELAY_MAX_SESSIONS_PER_IP": "100000",
        "RELAY_FRAMES_PER_SECOND": "1000000",
        "RELAY_FRAME_BURST": "1000000",
        "RELAY_RESUME_WINDOW": "2",
        "RELAY_DRAIN_DELAY": "0",
        "RELAY_DRAIN_TIMEOUT": "1",
        "RELAY_LOG_LEVEL": "warning",
        "RELAY_STATE_URL": options.redis or "memory://",
    }


async def climb(gateway: Process, port: int, options: argparse.Namespace) -> dict[str, float]:
    """Open conversations step by step; return what one more costs, at rest."""
    counts, memory, files = [0], [gateway.memory()], [gateway.descriptors()]
    per_step = options.sessions // options.steps
    async with AsyncExitStack() as crowd:
        before = gateway.cpu()
        opening = 0.0
        for _ in range(options.steps):
            begun = gateway.cpu()
            for _ in range(per_step):
                await enter(crowd, port)
            opening += gateway.cpu() - begun
            await asyncio.sleep(1)
            counts.append(counts[-1] + per_step)
            memory.append(gateway.memory())
            files.append(gateway.descriptors())
        before = gateway.cpu()
        await asyncio.sleep(options.idle)
        resting = (gateway.cpu() - before) / options.idle / counts[-1]
    return {
        "base_bytes": memory[0],
        "bytes_per_session": round(slope(counts, memory)),
        "descriptors_per_session": round(slope(counts, files), 2),
        "base_descriptors": files[0],
        "cpu_seconds_per_session_set_up": round(opening / counts[-1], 6),
        "cpu_seconds_per_idle_session_second": round(resting, 8),
    }


async def converse(
    port: int, at_once: int, messages: int, gateway: Process | None = None
) -> dict[str, float]:
    """Send texts over some conversations, each waiting for its echo; return CPU per frame."""
    async with AsyncExitStack() as crowd:
        sockets = [await enter(crowd, port) for _ in range(at_once)]
        frames, cpu = await count(port), gateway.cpu() if gateway else 0.0
        begun = time.monotonic()
        await asyncio.gather(*(talk(ws, messages // at_once) for ws in sockets))
        seconds = time.monotonic() - begun
        frames = await count(port) - frames
        if gateway is None:
            return {}
        return {
            "cpu_seconds_per_frame": round((gateway.cpu() - cpu) / frames, 8),
            "frames_measured": frames,
            "frames_per_second_reached": round(frames / seconds),
        }


async def talk(ws: ClientConnection, times: int) -> None:
    """Say something and wait until it comes back, again and again."""
    text = "x" * 200
    for number in range(times):
        word = f"{text}{number}"
        await ws.send(json.dumps({"type": "incomingChatMessage", "content": word}))
        while True:
            frame = json.loads(await ws.recv())
            content = frame.get("content")
            if isinstance(content, dict) and content.get("number") == number + 1:
                break


async def store_use(port: int, url: str) -> dict[str, float]:
    """Count the store's commands for conversations that come, stay a while, and go."""
    sessions = 100
    quiet = await commands(url, lambda: asyncio.sleep(REDIS_TALK))

    async def visit() -> None:
        async with AsyncExitStack() as crowd:
            for _ in range(sessions):
                await enter(crowd, port)
        await nobody_left(port)

    async with AsyncExitStack() as crowd:
        for _ in range(sessions):
            await enter(crowd, port)
        staying = await commands(url, lambda: asyncio.sleep(REDIS_TALK))
    await nobody_left(port)
    visited = await commands(url, visit)
    return {
        "redis_commands_per_session": round(visited / sessions, 2),
        "redis_commands_per_replica_second": round(quiet / REDIS_TALK, 2),
        "redis_commands_per_idle_session_second": round(
            max(0.0, staying - quiet) / REDIS_TALK / sessions, 4
        ),
    }


async def commands(url: str, during: Any) -> int:
    """How many commands Redis took while something went on."""
    from redis.asyncio import Redis  # noqa: PLC0415 - only where a store is measured

    async with Redis.from_url(url) as redis:
        before = (await redis.info("stats"))["total_commands_processed"]
        await during()
        return int((await redis.info("stats"))["total_commands_processed"]) - int(before) - 1


def browser(port: int) -> connect:
    """A browser's socket, not yet open."""
    return connect(
        f"ws://127.0.0.1:{port}/ws?call_type=chat",
        subprotocols=NATIVE,
        proxy=None,
        compression=None,
        ping_interval=None,
        open_timeout=30,
    )


async def count(port: int) -> int:
    """Frames that the gateway has relayed so far, both ways."""
    text = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/metrics")
    return int(sum(map(float, re.findall(r"^relay_frames_total\{.*\} (\S+)$", text, re.MULTILINE))))


async def enter(crowd: AsyncExitStack, port: int) -> ClientConnection:
    """Open one conversation for as long as the crowd stays; a busy machine may refuse a few."""
    for _ in range(10):
        try:
            return await crowd.enter_async_context(browser(port))
        except InvalidStatus as refused:
            if refused.response.status_code != 503:  # noqa: PLR2004 - overloaded, or store lost
                raise
            await asyncio.sleep(1)
    raise TimeoutError("the gateway refuses conversations (503): see what its log says")


async def nobody_left(port: int) -> None:
    """Wait until the last conversation is over; those that might be resumed stay for a while."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        text = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/metrics")
        if not any(map(float, re.findall(r"^relay_sessions\{.*\} (\S+)$", text, re.MULTILINE))):
            return
        await asyncio.sleep(0.5)
    raise TimeoutError("conversations stay although their browsers went")


if __name__ == "__main__":
    sys.exit(main())
