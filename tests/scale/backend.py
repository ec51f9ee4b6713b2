"""One connection per primary for all replicas of a process, on which their commands are pipelined.

The state code of each replica is the product's. Only its connections are not: hundreds of replicas
with pools of their own would be thousands of sockets on one machine.
"""

from __future__ import annotations

import asyncio
import binascii
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from redis import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from app.state.backend import Backend

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOTS: Final = 16384


class PipelinedConnection(asyncio.Protocol):
    """Sends what was asked in one loop iteration by one write; replies come in order."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._buffer = b""
        self._unsent: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("a node closed its connection"))

    def ask(self, command: Sequence[Any]) -> asyncio.Future[Any]:
        """Send one command; the future has its reply, which may be a `RedisError`."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed(command))
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(reply)
        return reply

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        buffer, at = self._buffer + data if self._buffer else data, 0
        while at < len(buffer):
            parsed = parse(buffer, at)
            if parsed is None:
                break
            value, at = parsed
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(value)
        self._buffer = buffer[at:]

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


class PipelinedBackend(Backend):
    """A Redis Cluster whose slots stay where they are."""

    def __init__(self, port: int) -> None:
        self.answers = 0
        self._port = port
        self._nodes: list[PipelinedConnection] = []
        self._by_slot: list[int] = []

    async def connect(self) -> None:
        """Connect to every primary."""
        with Redis(port=self._port) as client:
            ranges: Any = client.execute_command("CLUSTER", "SLOTS")
        self._by_slot = [0] * SLOTS
        for low, high, (host, port, *_), *_ in ranges:
            _, node = await asyncio.get_running_loop().create_connection(
                PipelinedConnection, host, port
            )
            for slot in range(low, high + 1):
                self._by_slot[slot] = len(self._nodes)
            self._nodes.append(node)

    async def execute(self, *command: Any) -> Any:
        if command[0] == "INFO":
            replies = await asyncio.gather(*(node.ask(command) for node in self._nodes))
            return {str(at): facts(reply) for at, reply in enumerate(replies)}
        reply = await self._ask(command)
        self.answers += 1
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def pipeline(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        asked = [self._ask(command) for command in commands]
        replies = [await reply for reply in asked]
        self.answers += len(replies)
        return replies

    async def close(self) -> None:
        """Leave the connections open: others use them."""

    def disconnect(self) -> None:
        for node in self._nodes:
            node.close()

    def _ask(self, command: Sequence[Any]) -> asyncio.Future[Any]:
        name = command[0]
        if name == "PING":
            return self._nodes[0].ask(command)
        key = command[3 if name in {"EVALSHA", "EVAL"} else 1]
        tag = key[key.index("{") + 1 : key.index("}")]
        return self._nodes[self._by_slot[binascii.crc_hqx(tag.encode(), 0) % SLOTS]].ask(command)


def packed(command: Sequence[Any]) -> bytes:
    """A command as RESP."""
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        raw = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


def parse(buffer: bytes, at: int) -> tuple[Any, int] | None:  # noqa: PLR0911
    """The reply that begins at `at` and where the next one begins; None if it is not whole yet."""
    end = buffer.find(b"\r\n", at)
    if end < 0:
        return None
    kind, line, after = buffer[at], buffer[at + 1 : end], end + 2
    if kind == 36:  # $
        size = int(line)
        if size < 0:
            return None, after
        if len(buffer) < after + size + 2:
            return None
        return buffer[after : after + size], after + size + 2
    if kind == 58:  # :
        return int(line), after
    if kind == 43:  # +
        return line, after
    if kind == 45:  # -
        text = line.decode()
        error = NoScriptError if text.startswith("NOSCRIPT") else ResponseError
        return error(text), after
    assert kind == 42, buffer[at : at + 40]  # *
    values: list[Any] = []
    for _ in range(max(0, int(line))):
        parsed = parse(buffer, after)
        if parsed is None:
            return None
        value, after = parsed
        values.append(value)
    return values, after


def facts(reply: bytes) -> dict[str, str]:
    """The parsed reply of `INFO`."""
    pairs = (line.partition(":") for line in reply.decode().splitlines())
    return {name: value for name, found, value in pairs if found}
