"""The I/O of all bridges of a replica: one writer, a few blocking readers, one watch on time.

Every turn of the writer brings what all bridges have to say to Redis in one round trip. A
reader waits for up to `PIPES_PER_READER` streams at once, so that a thousand bridges cost
thirty connections, not a thousand.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from app.cluster.stream import ReliableStream, StreamBroken
from app.protocol.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.cluster.stream import Entry, Item
    from app.state.redis_client import RedisClient

PIPES_PER_READER: Final = 32
MAX_READERS: Final = 160
_BATCH_SIZE: Final = 1024 * 1024
_COUNT: Final = 4
_PAUSE: Final = 0.1
_TICK: Final = 0.25
_STALL: Final = 1.0
_LINGER: Final = 2.0
_EXPIRY: Final = 30_000


class StreamOwner(Protocol):
    """Who owns a pipe: one side of one bridge."""

    @property
    def pipe(self) -> ReliableStream:
        """The pipe to keep going."""
        ...

    @property
    def outgoing(self) -> str:
        """The key of the stream to write."""
        ...

    @property
    def incoming(self) -> str:
        """The key of the stream to read."""
        ...

    def received(self, batch: Sequence[tuple[int, Sequence[Item]]]) -> None:
        """Take the items of some entries, each with its number."""
        ...

    def broken(self) -> None:
        """Take note that the pipe misses something: nothing more will come."""
        ...

    def tick(self, now: float) -> None:
        """Look at the time, in seconds of the loop's clock; called a few times in a second."""
        ...


class StreamMultiplexer:
    """Keeps the pipes of a replica's ends going while `run` runs.

    `writing` and `reading` are stores of its own: commands through `reading` may block for
    `block` seconds. `wake` names a stream per reader.
    """

    def __init__(
        self,
        writing: RedisClient,
        reading: RedisClient,
        *,
        block: float,
        wake: Callable[[int], str],
    ) -> None:
        self._writing = writing
        self._reading = reading
        self._block = round(block * 1000)
        self._wake = wake
        self._ends: dict[StreamOwner, _Reader] = {}
        self._readers: list[_Reader] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._dirty: dict[StreamOwner, None] = {}
        self._leaving: dict[StreamOwner, _Leaving] = {}
        self._asides: list[tuple[Any, ...]] = []
        self._work = asyncio.Event()

    async def run(self) -> None:
        """Keep all pipes going until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._write(), name="multiplexer:write")
            tasks.create_task(self._watch_time(), name="multiplexer:deadlines")

    def join(self, end: StreamOwner) -> None:
        """Serve an owner's stream. Raises `StoreUnavailable` without room or without `run`."""
        reader = next((r for r in self._readers if len(r.ends) < PIPES_PER_READER), None)
        if reader is None:
            if self._tasks is None or len(self._readers) >= MAX_READERS:
                raise StoreUnavailable("there is no room for another bridge")
            reader = _Reader(self._wake(len(self._readers)))
            self._readers.append(reader)
            self._tasks.create_task(self._read(reader), name="multiplexer:read")
        reader.ends[end.incoming.encode()] = end
        reader.wanted.set()
        self._ends[end] = reader
        self._asides.append(("XADD", reader.wake, "MAXLEN", "1", "*", "w", b""))
        self._asides.append(("PEXPIRE", reader.wake, _EXPIRY))
        self.notify(end)

    def notify(self, end: StreamOwner) -> None:
        """Take note that an end has put something into its pipe."""
        if end in self._ends:
            self._dirty[end] = None
            self._work.set()

    def leave(self, end: StreamOwner, *, over: bool = False) -> None:
        """Read no more for an end, and write what it has said, if Redis takes it in time.

        `over` says that the other end has read its last, so that nothing need be kept for it.
        """
        reader = self._ends.get(end)
        if reader is None or end in self._leaving:
            return
        reader.ends.pop(end.incoming.encode(), None)
        if not reader.ends:
            reader.wanted.clear()
        self._leaving[end] = _Leaving(asyncio.get_running_loop().time() + _LINGER, over)
        self.notify(end)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._work.clear()
            while self._dirty or self._asides:
                commands, written = self._next_batch(loop.time())
                asides = self._asides
                self._asides = []
                try:
                    if asides or commands:
                        await self._writing.append("bridge", [*asides, *commands])
                except StoreUnavailable:
                    self._asides = asides + self._asides
                    self._dirty = dict.fromkeys([*written, *self._dirty])
                    self._forget_the_late(loop.time())
                    await asyncio.sleep(_PAUSE)
                    continue
                for end, entries in written.items():
                    end.pipe.wrote(entries)
                    if end in self._leaving and end.pipe.idle:
                        self._forget(end)

    def _next_batch(
        self, now: float
    ) -> tuple[list[tuple[Any, ...]], dict[StreamOwner, Sequence[Entry]]]:
        """Gather commands of as many ends as fill a batch; the rest stay dirty."""
        commands: list[tuple[Any, ...]] = []
        written: dict[StreamOwner, Sequence[Entry]] = {}
        size = 0
        while self._dirty and size < _BATCH_SIZE:
            end = next(iter(self._dirty))
            del self._dirty[end]
            entries = end.pipe.entries(now)
            written[end] = entries
            for entry in entries:
                commands.append(("XADD", end.outgoing, b"%d-0" % entry.number, *entry.fields))
                size += entry.size
            first = end.pipe.evict()
            if first is not None and first > 1:
                commands.append(("XTRIM", end.outgoing, "MINID", b"%d-0" % first))
            if entries:
                commands.append(("PEXPIRE", end.outgoing, _EXPIRY))
        return commands, written

    async def _read(self, reader: _Reader) -> None:
        loop = asyncio.get_running_loop()
        count = _COUNT
        while True:
            await reader.wanted.wait()
            streams = reader.positions()
            try:
                reply = await self._reading.call(
                    "bridge",
                    *("XREAD", "COUNT", count, "BLOCK", self._block, "STREAMS"),
                    *streams.keys(),
                    *streams.values(),
                )
            except StoreUnavailable:
                # Perhaps it was too much for one deadline: ask for less.
                count = 1
                await asyncio.sleep(_PAUSE)
                continue
            count = _COUNT
            for key, entries in reply or ():
                self._deliver(reader, key, entries, loop.time())

    def _deliver(self, reader: _Reader, key: bytes, entries: list[Any], now: float) -> None:
        if key == reader.wake.encode():
            reader.woken = entries[-1][0]
            return
        end = reader.ends.get(key)
        if end is None:
            return
        batch = []
        broken = False
        for position, fields in entries:
            try:
                number = int(position.partition(b"-")[0])
                batch.append((number, end.pipe.take(number, fields, now)))
            except StreamBroken:
                broken = True
                break
        end.received(batch)
        if not end.pipe.idle:
            self.notify(end)  # a confirmation may have made room
        if broken:
            end.broken()

    async def _watch_time(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(_TICK)
            now = loop.time()
            for end in tuple(self._ends):
                # After a stall of this loop the silence was ours: what came is not read yet.
                if now - before < _STALL:
                    end.tick(now)
                if end.pipe.due(now):
                    self.notify(end)
            self._forget_the_late(now)
            before = now

    def _forget_the_late(self, now: float) -> None:
        for end, leaving in tuple(self._leaving.items()):
            if now > leaving.deadline:
                self._forget(end)

    def _forget(self, end: StreamOwner) -> None:
        """Remove an owner, and the streams that will not be read any more."""
        del self._ends[end]
        self._dirty.pop(end, None)
        streams = (end.incoming, end.outgoing) if self._leaving.pop(end).over else (end.incoming,)
        # One by one: the two readers' streams are in different slots of a Redis Cluster.
        self._asides += [("UNLINK", stream) for stream in streams]
        self._work.set()


@dataclass(frozen=True, slots=True)
class _Leaving:
    """An end that has left, until when it may finish writing, and whether it was the last."""

    deadline: float
    over: bool


class _Reader:
    """The streams that one connection waits for, and one to wake it."""

    def __init__(self, wake: str) -> None:
        self.wake = wake
        self.woken = b"0-0"
        self.ends: dict[bytes, StreamOwner] = {}
        self.wanted = asyncio.Event()

    def positions(self) -> dict[str | bytes, bytes]:
        return {self.wake: self.woken} | {key: end.pipe.position for key, end in self.ends.items()}
