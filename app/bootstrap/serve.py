"""Runs uvicorn, and drains before it stops."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from itertools import zip_longest
from signal import SIG_UNBLOCK, SIGHUP, SIGINT, SIGTERM, pthread_sigmask
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn

from app import __version__
from app.server.http_protocol import make_protocol
from app.websocket.compiled import COMPILED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from socket import socket

    from fastapi import FastAPI

    from app.bootstrap.parts import Application
    from app.bootstrap.reload import Reloader
    from app.bootstrap.worker import Worker

log = structlog.get_logger(__name__)

BACKLOG: Final = 2048
GRACE: Final = 10


class Server(uvicorn.Server):
    """A uvicorn server without its own signal handlers, which close every socket at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start, and say when that is done."""
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(
    application: Application,
    host: str,
    port: int,
    internal_port: int | None,
    reloader: Reloader | None = None,
    worker: Worker | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, drain, and stop. A second signal shortens both.

    A `worker` serves its own sockets, and drains also when its supervisor is gone.

    SIGHUP, and a changed file, have `reloader` take agents and tenants over.
    """
    servers = [Server(_config(application, application.app, host, port))]
    sockets = [] if worker is None else [list(worker.public), list(worker.internal)]
    if application.internal is not None and internal_port is not None:
        servers.append(Server(_config(application, application.internal, host, internal_port)))
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            application.gateway.expedite()
            application.traces.expedite()
        stopping.set()

    loop = asyncio.get_running_loop()
    for signal in (SIGTERM, SIGINT):
        loop.add_signal_handler(signal, on_signal)
    if worker is not None:
        loop.add_reader(worker.lifeline, _supervisor_gone, worker.lifeline, on_signal)
    if reloader is not None:
        loop.add_signal_handler(SIGHUP, reloader.ask)
        pthread_sigmask(SIG_UNBLOCK, {SIGHUP})  # as a worker begins
    log.info("serving", version=__version__, compiled=COMPILED, port=port)
    async with asyncio.TaskGroup() as tasks:
        serving = [
            tasks.create_task(server.serve(given or None), name="serve")
            for server, given in zip_longest(servers, sockets[: len(servers)])
        ]
        waiting = tasks.create_task(stopping.wait(), name="serve:stop")
        reloading = (
            None if reloader is None else tasks.create_task(reloader.run(), name="serve:reload")
        )
        await asyncio.wait([waiting, *serving], return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            await application.gateway.drain(application.replicas.release)
        waiting.cancel()
        if reloading is not None:
            reloading.cancel()
        for server in servers:
            server.should_exit = True


def _supervisor_gone(lifeline: int, on_signal: Callable[[], None]) -> None:
    """Drain: no supervisor is left that would ask for it."""
    asyncio.get_running_loop().remove_reader(lifeline)
    log.error("supervisor_gone")
    on_signal()


@asynccontextmanager
async def serving(application: Application, listener: socket) -> AsyncIterator[None]:
    """Serve inside another program for the time of a block: no signals, no draining.

    Raises `RuntimeError` if the application does not start.
    """
    server = Server(_config(application, application.app, "127.0.0.1", 0))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.serve(sockets=[listener]), name="serve")
        ready = tasks.create_task(server.ready.wait(), name="serve:ready")
        await asyncio.wait([ready, running], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if running.done():
            raise RuntimeError("the gateway did not start")
        try:
            yield
        finally:
            server.should_exit = True


def _config(application: Application, app: FastAPI, host: str, port: int) -> uvicorn.Config:
    limits, batcher = application.browser_limits, application.batcher
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=make_protocol(app.state.endpoint, limits, batcher),
        ws="none",
        lifespan="on" if app is application.app else "off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE,
    )
