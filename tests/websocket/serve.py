"""A server process: uvicorn with the native upgrade; handlers that echo, relay or push.

    python -m tests.websocket.serve [--limits JSON] [--upstream-limits JSON] [--loop asyncio]

prints `ready PORT` and serves until SIGTERM. `/echo` sends every text back, `/relay?to=PORT`
relays to a WebSocket on that port, `/push` sends without end what the peer reads, `/hold` says
nothing; `/state` tells as JSON what the process holds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import structlog
import uvicorn

from app.server.http_protocol import make_protocol
from app.websocket.client import dial
from app.websocket.connection import Connection
from app.websocket.io_batcher import IoBatcher
from app.websocket.limits import WireLimits

if TYPE_CHECKING:
    from app.server.interface import Upgrade
    from app.websocket.interface import CloseEvent, Socket


class Echo:
    """Sends every text back."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket

    def text_received(self, payload: bytes) -> None:
        self.socket.send_text(payload)

    def binary_received(self, size: int) -> None:
        self.socket.send_text(b"binary %d" % size)

    def read_complete(self) -> None: ...

    def pause_writing(self) -> None:
        self.socket.pause_reading()

    def resume_writing(self) -> None:
        self.socket.resume_reading()

    def protocol_error(self, code: int) -> None: ...

    def connection_lost(self, closed: CloseEvent) -> None: ...


class Hold(Echo):
    """Says nothing, reads on whatever waits, and remembers how it ended."""

    def __init__(self, socket: Socket, ended: list[CloseEvent]) -> None:
        super().__init__(socket)
        self.ended = ended

    def text_received(self, payload: bytes) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def connection_lost(self, closed: CloseEvent) -> None:
        self.ended.append(closed)


class Push(Echo):
    """Sends 4 KB texts whenever there is room, and closes a reader past the outbox: 4508."""

    paused = False

    def start(self) -> None:
        while not self.paused and self.socket.write_buffer_size < (1 << 20):
            self.socket.send_text(b"x" * 4096)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.start()

    def text_received(self, payload: bytes) -> None:  # noqa: ARG002
        self.start()


class Leg(Echo):
    """One leg of a relay with back-pressure and an outbox bound of 1 MiB."""

    other: Leg

    def text_received(self, payload: bytes) -> None:
        self.other.socket.send_text(payload)
        if self.other.socket.write_buffer_size > (1 << 20):
            self.other.socket.close(4508)
            self.socket.close(1000)

    def binary_received(self, size: int) -> None: ...

    def pause_writing(self) -> None:
        self.other.socket.pause_reading()

    def resume_writing(self) -> None:
        self.other.socket.resume_reading()

    def connection_lost(self, closed: CloseEvent) -> None:
        self.other.socket.close(1000 if closed.code < 1000 or closed.code in (1005, 1006) else 4502)


class App:
    """The ASGI application, and the endpoint."""

    def __init__(self, upstream_limits: WireLimits, batcher: IoBatcher) -> None:
        self.upstream_limits = upstream_limits
        self.batcher = batcher
        self.ended: list[CloseEvent] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/body":
            while (await receive()).get("more_body"):
                pass
        else:
            await self.state(send)

    async def websocket(self, upgrade: Upgrade) -> None:
        path = upgrade.request.path
        upstream = await self.dial(upgrade.request.query) if path == "/relay" else None
        socket = await upgrade.accept()
        if upstream is not None:
            browser_leg, upstream_leg = Leg(socket), Leg(upstream)
            browser_leg.other, upstream_leg.other = upstream_leg, browser_leg
            socket.open(browser_leg)
            upstream.open(upstream_leg)
        elif path == "/hold":
            socket.open(Hold(socket, self.ended))
        elif path == "/push":
            push = Push(socket)
            socket.open(push)
            push.start()
        else:
            if isinstance(socket, Connection):
                socket.on_binary = socket.send_binary
            socket.open(Echo(socket))

    async def dial(self, asked: bytes) -> Socket:
        query = parse_qs(asked.decode())
        url = f"ws://127.0.0.1:{query['to'][0]}{query['path'][0]}"
        return await dial(url, limits=self.upstream_limits, timeout=5, batcher=self.batcher)

    async def state(self, send: Any) -> None:
        gc.collect()
        found = {
            "fds": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - quicker than a path
            "tasks": len(asyncio.all_tasks()),
            "deadlines": len(self.batcher.timer_wheel),
            "ended": [[closed.code, closed.by_peer] for closed in self.ended],
        }
        body = json.dumps(found).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Announcing(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print("ready", self.servers[0].sockets[0].getsockname()[1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limits", default="{}")
    parser.add_argument("--upstream-limits", default="{}")
    parser.add_argument("--loop", default="uvloop")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    limits = WireLimits(**json.loads(arguments.limits))
    upstream_limits = WireLimits(**json.loads(arguments.upstream_limits))
    batcher = IoBatcher()
    app = App(upstream_limits, batcher)
    config = uvicorn.Config(
        app,
        host=arguments.host,
        port=arguments.port,
        http=make_protocol(app.websocket, limits, batcher),
        ws="none",
        loop=arguments.loop,
        lifespan="off",
        access_log=False,
        log_level="debug",
        timeout_graceful_shutdown=5,
    )
    Announcing(config).run()


if __name__ == "__main__":
    main()
