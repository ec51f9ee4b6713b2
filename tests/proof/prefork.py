"""Gateways that are forked off a process which has imported what they need.

A start of `blackbox-relay serve` takes more than a second of CPU time for imports, which is not
what proofs of many starts are about. All else is a start's own: configuration, sockets, stores.

`python -m tests.proof.prefork SOCKET` is that process. A client connects, and sends one line of
JSON (`arguments`, `environment`) with a descriptor for what the gateway writes. It is told the
process id in a line, and the wait status in another one when the gateway has ended.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.support.gateway import Gateway
from tests.support.process import Running, clean_environment
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NEEDED: Final = (
    *("app.cli.commands", "app.bootstrap.application", "app.bootstrap.reload"),
    *("app.bootstrap.serve", "app.network.loop", "app.state.redis", "app.cluster.factory"),
    *("uvicorn.loops.auto", "uvicorn.protocols.http.httptools_impl", "uvicorn.lifespan.on"),
)
MAX_LINE: Final = 1 << 20
POLL: Final = 0.02


class Forked:
    """One gateway's process; as much of `asyncio.subprocess.Process` as its owner uses."""

    def __init__(
        self,
        pid: int,
        stdout: asyncio.StreamReader,
        told: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._told = told  # a connection ends with its writer
        self._ending = asyncio.create_task(self._ended())

    async def _ended(self) -> int:
        reading, writing = self._told
        self.returncode = os.waitstatus_to_exitcode(int(await reading.readline()))
        writing.close()
        return self.returncode

    async def wait(self) -> int:
        """Wait for its end; return its exit status."""
        return await asyncio.shield(self._ending)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class WarmGateway(Gateway):
    """A gateway that is forked off; `forks` is the path of the socket."""

    def __init__(self, forks: Path, vendor: str, /, **variables: Any) -> None:
        super().__init__(vendor, **variables)
        self._forks = forks

    async def start(self) -> Self:
        """Start it; `log` grows from now on."""
        reading, writing = os.pipe()
        asked = socket.socket(socket.AF_UNIX)
        asked.connect(os.fspath(self._forks))
        what = {"arguments": self._arguments[2:], "environment": self.environment}
        data = json.dumps(what).encode() + b"\n"
        sent = socket.send_fds(asked, [data], [writing])
        asked.sendall(data[sent:])
        os.close(writing)
        asked.setblocking(False)
        told = await asyncio.open_unix_connection(sock=asked)
        stdout = asyncio.StreamReader(limit=MAX_LINE)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(reading, "rb")
        )
        self.process = Forked(int(await told[0].readline()), stdout, told)  # type: ignore[assignment]
        self._reading = asyncio.create_task(self._read())
        return self


@asynccontextmanager
async def forking(directory: Path) -> AsyncIterator[Path]:
    """The process that gateways are forked off, for the time of a block; gives its socket."""
    path = directory / "forks"
    server = Running(["-m", "tests.proof.prefork", os.fspath(path)], clean_environment())
    await server.start()
    try:
        await until(path.exists, within=90)
        yield path
    finally:
        await server.stop()


def serve(path: str) -> None:
    """Fork whatever is asked for, until SIGTERM."""
    for name in NEEDED:
        import_module(name)
    gc.collect()
    gc.freeze()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path + ".new")
    listening.listen(64)
    Path(path + ".new").rename(path)
    running: dict[int, socket.socket] = {}
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    with selectors.DefaultSelector() as waiting:
        waiting.register(listening, selectors.EVENT_READ)
        while not ending:
            if waiting.select(POLL):
                asked, _ = listening.accept()
                pid = _forked(asked, listening, running)
                asked.sendall(b"%d\n" % pid)
                running[pid] = asked
            _reap(running)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _forked(asked: socket.socket, listening: socket.socket, running: dict[int, Any]) -> int:
    data, descriptors, *_ = socket.recv_fds(asked, MAX_LINE, 1)
    while not data.endswith(b"\n"):
        data += asked.recv(MAX_LINE)
    what = json.loads(data)
    pid = os.fork()
    if pid == 0:
        for each in (asked, listening, *running.values()):
            each.close()
        _become(what["arguments"], what["environment"], descriptors[0])
    os.close(descriptors[0])
    return pid


def _become(arguments: list[str], environment: dict[str, str], descriptor: int) -> None:
    """Be what `python -m app` would be."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.unfreeze()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["app", *arguments]
    code = 1
    try:
        code = int(import_module("app.cli").main(arguments))
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap(running: dict[int, socket.socket]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        asked = running.pop(pid)
        with suppress(OSError):
            asked.sendall(b"%d\n" % status)
        asked.close()


if __name__ == "__main__":
    serve(sys.argv[1])
