"""Peers for the tests: a server in a process of its own, and a client that obeys no rule."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.websocket.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, header, masked_header
from app.websocket.masking import apply_mask
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

KEY = b"\x12\x34\x56\x78"
PATIENCE = 20.0
MB = 1000 * 1000
ROOM = 12  # MB that a server may grow by under any attack: code paths, buffers, a bounded backlog

HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True) -> bytes:
    """One frame as a client makes it, or, unmasked, as a server does."""
    if mask:
        made = masked_header(opcode, len(payload)) + KEY + apply_mask(payload, KEY)
    else:
        made = header(opcode, len(payload)) + payload
    return made if fin else bytes((made[0] & 0x7F,)) + made[1:]


class Server:
    """`tests.websocket.serve` in its own process, seen from outside."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0
        self.log: list[str] = []
        self.clients: list[Client] = []

    def status(self, field: str) -> int:
        """A line of /proc/PID/status: kB, or a number."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+)", text, re.MULTILINE)
        assert found is not None
        return int(found[1])

    @property
    def rss(self) -> float:
        """Resident memory in MB."""
        return self.status("VmRSS") / 1000

    @property
    def peak(self) -> float:
        """The most that it ever was, in MB."""
        return self.status("VmHWM") / 1000

    async def state(self) -> dict[str, Any]:
        """What it says that it holds."""
        client = await self.open()
        client.writer.write(b"GET /state HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        answer = await client.within(client.reader.read())
        await client.leave()
        found: dict[str, Any] = json.loads(answer.split(b"\r\n\r\n", 1)[1])
        return found

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until its state is so."""

        async def so() -> dict[str, Any] | None:
            state = await self.state()
            return state if condition(state) else None

        found: dict[str, Any] = await until(so, within=PATIENCE)
        return found

    async def said(self, word: str) -> int:
        """Wait until its log has this word; gives in how many lines."""
        count: int = await until(lambda: sum(word in line for line in self.log), within=PATIENCE)
        return count

    async def warm(self) -> float:
        """Let one connection live and die, so that growth from here on is the attack's alone."""
        client = await self.connect()
        client.send(TEXT, b"hello")
        assert await client.receive() == (TEXT, b"hello")
        await client.leave()
        return self.rss

    async def open(self, sent: bytes = b"") -> Client:
        """Open TCP, and send this."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22))
        self.clients.append(client)
        client.writer.write(sent)
        return client

    async def connect(self, path: str = "/echo", headers: bytes = b"") -> Client:
        """Open a WebSocket by hand."""
        client = await self.open(HANDSHAKE % (path.encode(), headers))
        client.head = await client.within(client.reader.readuntil(b"\r\n\r\n"))
        return client


class Client:
    """A raw WebSocket client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""

    async def within(self, waited: Any) -> Any:
        """Wait, but not for ever."""
        async with asyncio.timeout(PATIENCE):
            return await waited

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        self.writer.write(frame(opcode, payload, fin=fin))

    async def receive(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises IncompleteReadError at the end."""
        head = await self.within(self.reader.readexactly(2))
        assert head[1] < 128, "a server must not mask"
        size = head[1]
        if size == 126:
            size = int.from_bytes(await self.within(self.reader.readexactly(2)), "big")
        elif size == 127:
            size = int.from_bytes(await self.within(self.reader.readexactly(8)), "big")
        return head[0] & 0x0F, await self.within(self.reader.readexactly(size))

    async def close_code(self) -> int:
        """Read until the server closes, and give its code; 1006 if it gave none."""
        try:
            while True:
                opcode, payload = await self.receive()
                if opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big") if payload else 1005
        except (asyncio.IncompleteReadError, ConnectionError):
            return 1006

    async def gone(self) -> None:
        """Wait until the server has closed TCP."""
        try:
            while await self.within(self.reader.read(1 << 16)):
                pass
        except ConnectionError:
            pass

    def deaf(self) -> Client:
        """Read no more."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]
        return self

    def abort(self) -> None:
        self.writer.transport.abort()

    async def leave(self) -> None:
        """Let nothing of this client behind."""
        self.abort()
        with suppress(ConnectionError):
            await self.within(self.writer.wait_closed())


@asynccontextmanager
async def serve(
    *, upstream_limits: dict[str, Any] | None = None, loop: str = "uvloop", **limits: Any
) -> AsyncIterator[Server]:
    """Run `tests.websocket.serve` with these limits."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.websocket.serve",
        f"--limits={json.dumps(limits)}",
        f"--upstream-limits={json.dumps(upstream_limits or {})}",
        f"--loop={loop}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    assert process.stderr is not None
    server = Server(process)
    try:
        async with asyncio.timeout(60):
            words = (await process.stdout.readline()).split()
        assert words, (await process.stderr.read()).decode()
        server.port = int(words[1])
        reading = asyncio.create_task(_read_log(process.stderr, server.log))
        yield server
    finally:
        for client in server.clients:
            await client.leave()
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(15):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
    await reading


async def _read_log(stream: asyncio.StreamReader, log: list[str]) -> None:
    async for line in stream:
        log += [line.decode()]


__all__ = ["BINARY", "CLOSE", "CONT", "PING", "PONG", "TEXT", "Client", "Server", "frame", "serve"]
