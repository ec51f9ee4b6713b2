"""A real Redis beside the store in memory: both must come to the same, command by command."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from app.state.redis_client import ScriptCall
from app.state.session_scripts import RESERVE
from tests.state.model_store import node_of, words_of

if TYPE_CHECKING:
    from tests.state.model_memory import MemoryStore

COPY: Final = b"copy:"
CLOCK: Final = "(function() local now = redis.call('GET', 'now') return {{{}, {}}} end)()".format(
    "math.floor(now / 1000)",
    "now % 1000 * 1000",
)


class RedisStore:
    """All keys of a Redis, by one connection. Marks and rows do not expire while a schedule runs:
    its clock is not that of Redis.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=1 << 16)
        self._loaded: dict[str, bytes] = {}
        self._copied: list[bytes] = []

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def reset(self) -> None:
        self._ask("FLUSHALL")
        self._copied = []

    def set_time(self, now: int) -> None:
        self._ask("SET", "now", now)

    def carry_out(self, command: Any) -> Any:
        if not isinstance(command, ScriptCall):
            return self._ask(*command)
        text = command.script.text
        if text not in self._loaded:
            adapted = text.replace("redis.call('TIME')", CLOCK)
            self._loaded[text] = self._ask("SCRIPT", "LOAD", adapted)
        words = ("EVALSHA", self._loaded[text], len(command.keys), *command.keys, *command.args)
        return self._ask(*words)

    def names(self, node: int | None = None) -> list[bytes]:
        found: list[bytes] = self._ask("KEYS", "{m*")
        return sorted(name for name in found if node is None or node_of(name) == node)

    def members(self, name: bytes | str) -> set[bytes]:
        return set(self._ask("SMEMBERS", name))

    def keep(self, node: int) -> None:
        self._copied = self.names(node)
        for name in self._copied:
            self._ask("COPY", name, COPY + name, "REPLACE")

    def put_back(self, node: int) -> None:
        for name in self.names(node):
            self._ask("DEL", name)
        for name in self._copied:
            self._ask("COPY", COPY + name, name)

    def drop_copy(self) -> None:
        for name in self._copied:
            self._ask("DEL", COPY + name)
        self._copied = []

    def _ask(self, *command: Any) -> Any:
        words = words_of(command)
        sent = [b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)]
        self._socket.sendall(b"".join(sent))
        return self._read()

    def _read(self) -> Any:
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        assert kind == b"+", line
        return rest


class ComparedStore:
    """Everything is done in memory and on a real Redis, and must come to the same."""

    def __init__(self, memory: MemoryStore, redis: RedisStore) -> None:
        self._memory = memory
        self._redis = redis
        self.compared = 0

    def reset(self) -> None:
        self._memory.reset()
        self._redis.reset()

    def set_time(self, now: int) -> None:
        self._memory.set_time(now)
        self._redis.set_time(now)

    def carry_out(self, command: Any) -> Any:
        reply, other = self._memory.carry_out(command), self._redis.carry_out(command)
        self._demand(_comparable(command, reply) == _comparable(command, other), command)
        return reply

    def names(self, node: int | None = None) -> list[bytes]:
        names, others = self._memory.names(node), self._redis.names(node)
        # Marks expire by the clock of the schedule, or not at all.
        self._demand(not set(names) ^ {n for n in others if n in names or b"gone:" not in n}, node)
        return names

    def members(self, name: bytes | str) -> set[bytes]:
        found = self._memory.members(name)
        self._demand(found == self._redis.members(name), name)
        return found

    def keep(self, node: int) -> None:
        self._memory.keep(node)
        self._redis.keep(node)

    def put_back(self, node: int) -> None:
        self._memory.put_back(node)
        self._redis.put_back(node)

    def drop_copy(self) -> None:
        self._memory.drop_copy()
        self._redis.drop_copy()

    def _demand(self, same: bool, what: Any) -> None:
        self.compared += 1
        assert same, f"the store in memory and Redis differ: {what}"


def _comparable(command: Any, reply: Any) -> Any:
    """A reply without the order in which Redis lists fields."""
    if isinstance(command, ScriptCall):
        if command.script is RESERVE and reply is not None:
            return sorted(reply)
        return reply
    if command[0] == "HKEYS":
        return sorted(reply)
    if command[0] == "HSCAN":
        cursor, fields = reply
        return cursor, dict(zip(fields[::2], fields[1::2], strict=True))
    return reply
