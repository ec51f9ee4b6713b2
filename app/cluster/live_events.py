"""A session's live events, from its owner to subscribers on another replica.

The watcher makes a stream and keeps it alive; the owner writes to it while it is there. So a
watcher that dies is noticed without a word. Events may be lost, never silently: they are
numbered, and a `Gap` stands where some are missing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from app.cluster.commands import Watch, encode
from app.cluster.owner_message import tell_owner
from app.protocol.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from app.cluster.bridge import ReplicaDirectory
    from app.state.interface import SessionRow
    from app.state.keys import Keys
    from app.state.redis_client import RedisClient

MAX_KEPT: Final = 1_000
MAX_QUEUED: Final = 256 * 1024
_EXPIRY: Final = 10_000
_COUNT: Final = 100
_EVENT: Final = b"e"
_OVER: Final = b"z"
_FIRST: Final = b"0-1"
_LOST: Final = 3


@dataclass(frozen=True, slots=True)
class Gap:
    """Here `missed` events are missing."""

    missed: int


class Publisher:
    """The owner's side of one subscription. `closed` once no subscriber is left."""

    def __init__(self, key: str, said: asyncio.Event) -> None:
        self.key = key
        self.closed = False
        self._said = said
        self._number = 0
        self._queue: deque[tuple[int, bytes, bytes]] = deque()
        self._size = 0

    def publish(self, event: bytes) -> None:
        """Say an event; it is dropped while `MAX_QUEUED` bytes wait to be written."""
        self._number += 1
        if not self.closed and self._size < MAX_QUEUED:
            self._put(_EVENT, event)

    def close(self) -> None:
        """Say that the session is over."""
        if not self.closed:
            self._number += 1
            self._put(_OVER, b"")

    def take(self) -> list[tuple[Any, ...]]:
        """Take the commands that write what was said."""
        commands = [
            ("XADD", self.key, "NOMKSTREAM", "MAXLEN", "~", MAX_KEPT, b"%d-0" % number, name, value)
            for number, name, value in self._queue
        ]
        self._queue.clear()
        self._size = 0
        return commands

    def _put(self, name: bytes, value: bytes) -> None:
        self._queue.append((self._number, name, value))
        self._size += len(value) + len(self.key)
        self._said.set()


class LiveEvents:
    """All watches of one replica, from it and of it, while `run` runs.

    `writing` and `reading` are stores; commands through `reading` may block for `block`
    seconds, and its connections bound how many can watch from here.
    """

    def __init__(
        self,
        replicas: ReplicaDirectory,
        *,
        keys: Keys,
        writing: RedisClient,
        reading: RedisClient,
        block: float,
    ) -> None:
        self._replicas = replicas
        self._keys = keys
        self._writing = writing
        self._reading = reading
        self._block = round(block * 1000)
        self._publishers: list[Publisher] = []
        self._said = asyncio.Event()

    async def run(self) -> None:
        """Write what publishers say, until cancelled."""
        while True:
            await self._said.wait()
            self._said.clear()
            batch = [(p, command) for p in self._publishers for command in p.take()]
            try:
                replies = await self._writing.batch("watch", [command for _, command in batch])
            except StoreUnavailable:
                continue  # the numbers show the gap
            for (publisher, command), reply in zip(batch, replies, strict=True):
                if reply is None or command[-2] == _OVER:
                    publisher.closed = True
            self._publishers = [p for p in self._publishers if not p.closed]

    def publisher(self, message: Watch) -> Publisher:
        """Begin to publish for a watcher elsewhere."""
        publisher = Publisher(self._keys.stream(message.stream, message.session_id), self._said)
        self._publishers.append(publisher)
        return publisher

    async def watch(self, row: SessionRow) -> AsyncGenerator[bytes | Gap, None]:
        """Yield the events of a session of any replica until it ends, or its owner does.

        Raises `StoreUnavailable`; the subscriber may then begin anew.
        """
        name = f"watch:{secrets.token_urlsafe(18)}"
        key = self._keys.stream(name, row.id)
        await self._writing.batch(
            "watch", [("XADD", key, _FIRST, "o", b""), ("PEXPIRE", key, _EXPIRY)]
        )
        try:
            if not await tell_owner(self._replicas, row, encode(Watch(row.id, name))):
                return
            async for event in self._events(key, row.replica):
                yield event
        finally:
            with suppress(StoreUnavailable):  # then its expiry does it
                await self._writing.call("watch", "UNLINK", key)

    async def close(self) -> None:
        """Let go of connections."""
        await self._writing.close()
        await self._reading.close()

    async def _events(self, key: str, owner: str) -> AsyncIterator[bytes | Gap]:
        position, heard = _FIRST, 0
        silent = 0
        while True:
            kept, reply = await self._reading.batch(
                "watch",
                [
                    ("PEXPIRE", key, _EXPIRY),
                    ("XREAD", "COUNT", _COUNT, "BLOCK", self._block, "STREAMS", key, position),
                ],
            )
            if not kept:
                raise StoreUnavailable("watch: the stream is gone")
            if not reply:
                silent += 1
                if silent % _LOST == 0 and not await self._replicas.alive(owner):
                    return
                continue
            silent = 0
            for position, fields in reply[0][1]:
                number = int(position.partition(b"-")[0])
                if number != heard + 1:
                    yield Gap(number - heard - 1)
                heard = number
                if fields[0] == _OVER:
                    return
                yield fields[1]
