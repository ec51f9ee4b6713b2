"""The store of random schedules: a real Redis, whose servers of a cluster are parts of its keys.

Many schedules run beside each other on one connection: what each of them asks next goes out in one
write. Each has a prefix of its own, and its own time, which the scripts read.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from app.state.keys import SLOTS, slot_of
from app.state.redis_client import ScriptCall

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

NODES: Final = 3
AT_ONCE: Final = 24
CLOCK: Final = "{redis.call('GET', 'now' .. string.match(KEYS[1], '{m(%d+)')), 0}"


class Asked:
    """Commands whose replies a schedule waits for."""

    def __init__(self, commands: list[tuple[Any, ...]]) -> None:
        self.commands = commands

    def __await__(self) -> Any:
        return (yield self)


class Wire:
    """One connection to Redis; errors are replies."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=1 << 16)
        self._loaded: dict[str, bytes] = {}

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, *commands: tuple[Any, ...]) -> list[Any]:
        self._socket.sendall(b"".join(map(_packed, commands)))
        return [self._read() for _ in commands]

    def worded(self, command: Any) -> tuple[Any, ...]:
        """A command or a script as words; the script has the schedule's clock."""
        if not isinstance(command, ScriptCall):
            return tuple(command)
        text = command.script.text
        if text not in self._loaded:
            [self._loaded[text]] = self.ask(
                ("SCRIPT", "LOAD", text.replace("redis.call('TIME')", CLOCK))
            )
        return ("EVALSHA", self._loaded[text], len(command.keys), *command.keys, *command.args)

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


class Part:
    """What one schedule has of the store: `number` is that of its prefix."""

    def __init__(self, wire: Wire, number: int) -> None:
        self._wire = wire
        self._now = f"now{number}"
        self._pattern = f"{{m{number}:*"
        self._first: list[tuple[Any, ...]] = []

    def set_time(self, now: float) -> None:
        """Before whatever is asked next."""
        self._first = [("SET", self._now, f"{now:.3f}")]

    async def ask(self, *commands: Any) -> list[Any]:
        first, self._first = self._first, []
        replies: list[Any] = await Asked([*first, *map(self._wire.worded, commands)])
        return replies[len(first) :]

    async def carry_out(self, command: Any) -> Any:
        [reply] = await self.ask(command)
        return reply

    async def names(self, node: int | None = None) -> list[bytes]:
        """The keys of one server, or of all."""
        found: list[bytes] = await self.carry_out(("KEYS", self._pattern))
        return sorted(name for name in found if node is None or node_of(name) == node)

    async def clear(self) -> None:
        names = await self.names()
        if names:
            await self.ask(("DEL", *names))


def node_of(name: bytes) -> int:
    """The server of a key: each has a third of the slots."""
    return slot_of(tag_of(name)) * NODES // SLOTS


def tag_of(name: bytes | str) -> str:
    """The hash tag of a key."""
    text = name.decode() if isinstance(name, bytes) else name
    return text[text.index("{") + 1 : text.index("}")]


def run_beside(
    wire: Wire, seeds: Iterator[int], begin: Callable[[int, int], Coroutine[Any, Any, None]]
) -> None:
    """Run the schedule that `begin` makes of a seed and a prefix's number, for all seeds."""
    free = deque(range(AT_ONCE))
    running: dict[int, tuple[Coroutine[Any, Any, None], Any]] = {}
    waiting: dict[int, Asked] = {}

    def advance(number: int, run: Coroutine[Any, Any, None], replies: Any) -> None:
        try:
            waiting[number] = run.send(replies)
            running[number] = (run, None)
        except StopIteration:
            running.pop(number, None)
            free.append(number)

    while True:
        while free and (seed := next(seeds, None)) is not None:
            number = free.popleft()
            advance(number, begin(seed, number), None)
        if not waiting:
            return
        asked, waiting = waiting, {}
        replies = iter(wire.ask(*(each for one in asked.values() for each in one.commands)))
        for number, one in asked.items():
            advance(number, running[number][0], [next(replies) for _ in one.commands])


def _packed(words: tuple[Any, ...]) -> bytes:
    parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)
