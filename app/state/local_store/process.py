"""The store as a process: it ends when it is told to, or when no client is left that needs it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from signal import SIGINT, SIGTERM
from time import time
from typing import TYPE_CHECKING, Final

import uvloop

from app.state.local_store.keyspace import Keyspace
from app.state.local_store.server import serve

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

POLL: Final = 0.5
"""Seconds between two looks at whether a client is left, once the supervisor is gone."""


def run(path: Path, lifeline: int | None = None) -> None:
    """Serve at `path` until SIGTERM.

    `lifeline` is a descriptor whose end says that the supervisor is gone: then the store ends with
    its last client.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(path, lifeline))


async def _serve(path: Path, lifeline: int | None) -> None:
    with suppress(FileNotFoundError):
        path.unlink()  # noqa: ASYNC240 - nothing runs yet
    store, server = await serve(Keyspace(lambda: int(time() * 1000)), path)
    loop = asyncio.get_running_loop()
    stopping, orphaned = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(SIGTERM, stopping.set)
    loop.add_signal_handler(SIGINT, lambda: None)  # Ctrl-C is for the supervisor
    if lifeline is not None:
        loop.add_reader(lifeline, _gone, loop, lifeline, orphaned)
    async with asyncio.TaskGroup() as tasks:
        told = tasks.create_task(stopping.wait(), name="store:stop")
        left = tasks.create_task(
            _last_client(store.connections, orphaned), name="store:last_client"
        )
        await asyncio.wait([told, left], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        left.cancel()
    server.close()


def _gone(loop: asyncio.AbstractEventLoop, lifeline: int, orphaned: asyncio.Event) -> None:
    loop.remove_reader(lifeline)
    orphaned.set()


async def _last_client(connections: Collection[object], orphaned: asyncio.Event) -> None:
    await orphaned.wait()
    while connections:  # noqa: ASYNC110 - they do not tell
        await asyncio.sleep(POLL)
