"""Serves the keyspace on a Unix socket. One loop carries out one command after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from app.state.local_store import commands, set_commands, sorted_set_commands, stream_commands
from app.state.local_store.resp import ProtocolError, RequestParser, StoreError, encoded
from app.state.local_store.scripting import Scripts
from app.state.local_store.stream_commands import Read, read_request

if TYPE_CHECKING:
    from pathlib import Path

    from app.state.local_store.keyspace import Keyspace
    from app.state.local_store.resp import Request

COMMANDS: Final = (
    commands.COMMANDS
    | set_commands.COMMANDS
    | sorted_set_commands.COMMANDS
    | stream_commands.COMMANDS
)
MAX_WAITING: Final = 10_000
"""Requests of one connection that wait for their turn, before nothing more is read of it."""


class LocalStore:
    """The commands on one keyspace, and who waits for which stream."""

    def __init__(self, keys: Keyspace) -> None:
        self._keys = keys
        self._scripts = Scripts(self._run)
        self._waiting: dict[bytes, dict[Waiter, None]] = {}
        self.connections: set[Connection] = set()

    def answer(self, request: Request) -> object:
        """Carry one request out; return its reply, a `StoreError`, or a `Read` that waits."""
        self._keys.sweep()
        name, words = request[0].upper(), request[1:]
        try:
            if name == b"XREAD":
                read = read_request(self._keys, words)
                found = read.found(self._keys)
                return read if found is None and read.block is not None else found
            if name in {b"EVAL", b"EVALSHA"} and len(words) >= 2:  # noqa: PLR2004 - script, keys
                run = self._scripts.run if name == b"EVAL" else self._scripts.run_known
                return run(words[0], words[1:])
            return self._run(request)
        except StoreError as error:
            return error

    def wait(self, waiter: Waiter) -> None:
        """Wake `waiter` when something is added to a stream that it reads."""
        for key in waiter.read.positions:
            self._waiting.setdefault(key, {})[waiter] = None

    def forget(self, waiter: Waiter) -> None:
        """Wake it no more."""
        for key in waiter.read.positions:
            others = self._waiting.get(key)
            if others is not None:
                others.pop(waiter, None)
                if not others:
                    del self._waiting[key]

    def found(self, read: Read) -> object:
        """What there is to read now."""
        try:
            return read.found(self._keys)
        except StoreError as error:
            return error

    def _run(self, request: Request) -> object:
        name, words = request[0].upper(), request[1:]
        command = COMMANDS.get(name)
        if command is None:
            raise StoreError(f"ERR unknown command '{name.decode(errors='replace')[:32]}'")
        carry_out, least = command
        if len(words) < least:
            raise StoreError("ERR wrong number of arguments")
        reply = carry_out(self._keys, words)
        if name == b"XADD" and reply is not None:
            for waiter in list(self._waiting.get(words[0], ())):
                waiter.wake()
        return reply


class Waiter:
    """One `XREAD` that waits for entries, or for its time to be over."""

    def __init__(self, connection: Connection, read: Read) -> None:
        self.read = read
        self._connection = connection
        self._woken: asyncio.Handle | None = None
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._timer = loop.call_later(read.block / 1000, self._end) if read.block else None

    def wake(self) -> None:
        """Look again, after the command that wrote, and the script that it may be part of."""
        if self._woken is None:
            self._woken = self._loop.call_soon(self._end)

    def cancel(self) -> None:
        """Wait no more."""
        for handle in (self._timer, self._woken):
            if handle is not None:
                handle.cancel()

    def _end(self) -> None:
        self.cancel()
        self._connection.read_ended(self)


class Connection(asyncio.Protocol):
    """One client: its requests in their order, each answered before the next is looked at."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._parser = RequestParser()
        self._requests: deque[Request] = deque()
        self._waiter: Waiter | None = None
        self._full = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._store.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget who waits."""
        self._store.connections.discard(self)
        self._transport = None
        self._requests.clear()
        if self._waiter is not None:
            self._waiter.cancel()
            self._store.forget(self._waiter)

    def data_received(self, data: bytes) -> None:
        """Carry out what is whole."""
        try:
            self._requests.extend(self._parser.feed(data))
        except ProtocolError:
            if self._transport is not None:
                self._transport.abort()
            return
        self._drive()

    def pause_writing(self) -> None:
        """Carry nothing out for a client that does not read its answers."""
        self._full = True

    def resume_writing(self) -> None:
        """Go on."""
        self._full = False
        self._drive()

    def read_ended(self, waiter: Waiter) -> None:
        """Answer an `XREAD` that has waited, and go on."""
        self._store.forget(waiter)
        self._waiter = None
        if self._transport is not None:
            found = self._store.found(waiter.read)
            self._transport.write(b"*-1\r\n" if found is None else encoded(found))
            self._drive()

    def _drive(self) -> None:
        replies: list[bytes] = []
        while self._requests and self._waiter is None and not self._full:
            reply = self._store.answer(self._requests.popleft())
            if isinstance(reply, Read):
                self._waiter = Waiter(self, reply)
                self._store.wait(self._waiter)
            else:
                replies.append(encoded(reply))
        transport = self._transport
        if transport is None:
            return
        if replies:
            transport.write(b"".join(replies))
        if len(self._requests) > MAX_WAITING:
            transport.pause_reading()
        elif not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()


async def serve(keys: Keyspace, path: Path) -> tuple[LocalStore, asyncio.Server]:
    """Listen at `path`, which must be in a directory that is the user's alone."""
    store = LocalStore(keys)
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Connection(store), str(path), backlog=1024)
    return store, server
