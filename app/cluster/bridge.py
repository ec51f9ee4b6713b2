"""Resume on any replica: a browser here, its conversation's owner there, Redis in between.

The browser's replica calls `serve`, which tells the owner by an `Attach` message. The owner
hands that message to `accept` and has a `Socket`; to refuse, it closes that. Frames cross as
they are: counting, confirming and replaying stay with the owner's relay and the browser, who
survive a broken bridge as they survive any lost socket.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
import structlog

from app.cluster.commands import Attach, encode
from app.cluster.multiplexer import StreamMultiplexer
from app.cluster.remote_socket import (
    HIGH_WATER,
    LOW_WATER,
    BridgeTimings,
    RemoteSocket,
    closed_item,
)
from app.cluster.stream import Item, ItemKind, ReliableStream
from app.protocol.close_codes import CANNOT_RESUME, CloseReason, Retry
from app.protocol.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from app.state.interface import SessionRow
    from app.state.keys import Keys
    from app.state.redis_client import RedisClient
    from app.websocket.interface import CloseEvent, Socket

log = structlog.get_logger(__name__)

WINDOW: Final = 1024 * 1024
BROKEN: Final = CloseReason(
    1001,
    "bridge_broken",
    "The way to your conversation was interrupted. Please resume.",
    Retry.RESUME,
    503,
)
_LOOK: Final = 0.25
_SUSPICIOUS: Final = 2.0


class ReplicaDirectory(Protocol):
    """What a bridge must know of the other replicas."""

    async def tell(self, replica: str, message: bytes) -> bool:
        """Send a message; False when no such replica is alive. Raises `StoreUnavailable`."""
        ...

    async def alive(self, replica: str) -> bool:
        """Say whether a replica lives. Raises `StoreUnavailable`."""
        ...

    async def leave(self, row: SessionRow) -> None:
        """Forget a session and free its caps. Raises `StoreUnavailable`."""
        ...


class Bridges:
    """All bridges of one replica, from it and to it, while `run` runs.

    `hang_up` closes a browser's socket for a reason of this side: `CANNOT_RESUME` when the
    owner is dead, `BROKEN` (resume at once) when only the bridge is. `warn` sends what should go
    before a socket is closed for a protocol error, with a close code. `writing` and `reading`
    are stores of their own; commands through `reading` may block for `block` seconds. At most
    `window` bytes and one message are under way in each direction of a bridge.
    """

    def __init__(
        self,
        replica: str,
        replicas: ReplicaDirectory,
        *,
        keys: Keys,
        stores: tuple[RedisClient, RedisClient],
        block: float,
        hang_up: Callable[[Socket, CloseReason], None],
        warn: Callable[[Socket, int], None] = lambda *_: None,
        timings: BridgeTimings | None = None,
    ) -> None:
        self._replica = replica
        self._replicas = replicas
        self._keys = keys
        self._stores = stores
        self._hang_up = hang_up
        self._warn = warn
        self._timings = timings or BridgeTimings()
        self._bridges: set[_Bridge] = set()
        writing, reading = stores
        self._multiplexer = StreamMultiplexer(
            writing,
            reading,
            block=block,
            wake=lambda number: keys.stream(f"wake:{replica}:{number}", replica),
        )

    async def run(self) -> None:
        """Keep all bridges going until cancelled."""
        await self._multiplexer.run()

    async def serve(self, socket: Socket, row: SessionRow, hello: Mapping[str, Any]) -> None:
        """Be the session's replica for this browser, until the browser's socket is gone.

        `hello` is for the owner to judge, and crosses the store: put no credential in it that
        is good for anything else. Raises `StoreUnavailable` when the owner could not be told: the
        socket is still the caller's to close; later faults close it.
        """
        attachment = secrets.token_urlsafe(18)
        bridge = _Bridge(
            self._multiplexer,
            socket,
            outgoing=self._keys.stream(f"{attachment}:up", row.replica),
            incoming=self._keys.stream(f"{attachment}:down", self._replica),
            pipe=self._pipe(),
            warn=self._warn,
        )
        self._multiplexer.join(bridge)
        try:
            # Heard before the owner is told: a browser that has gone again replaces no socket.
            socket.open(bridge)
            await asyncio.sleep(0)  # a poll, in which a reset that is there already shows
            if bridge.gone.is_set():
                return
            message = Attach(row.id, attachment, self._replica, dict(hello))
            told = await self._replicas.tell(row.replica, encode(message))
            if not told and await self._replicas.alive(row.replica):
                raise StoreUnavailable("attach: the owner was not told")
            self._bridges.add(bridge)
            fault = await self._watch_over(bridge, row.replica) if told else CANNOT_RESUME
            if fault is not None:
                log.info("bridge_over", outcome=fault.name)
                bridge.give_up()
                self._hang_up(socket, fault)
            if fault is CANNOT_RESUME:
                with suppress(StoreUnavailable):  # its lease runs out all the same
                    await self._replicas.leave(row)
            await bridge.gone.wait()
        finally:
            self._bridges.discard(bridge)
            bridge.give_up()

    def accept(self, message: Attach) -> RemoteSocket:
        """Accept a browser that another replica serves. Raises `StoreUnavailable` without room.

        The other replica is answered at once. To refuse, close the socket with the reason.
        """
        remote = RemoteSocket(
            self._multiplexer,
            outgoing=self._keys.stream(f"{message.attachment}:down", message.replica),
            incoming=self._keys.stream(f"{message.attachment}:up", self._replica),
            pipe=self._pipe(),
            timings=self._timings,
        )
        self._multiplexer.join(remote)
        return remote

    def release(self) -> None:
        """Send every browser that is bridged from here elsewhere: this replica is going away."""
        for bridge in self._bridges:
            bridge.release(BROKEN)

    async def close(self) -> None:
        """Let go of connections, after `run` has ended."""
        for store in self._stores:
            await store.close()

    def _pipe(self) -> ReliableStream:
        now = asyncio.get_running_loop().time()
        return ReliableStream(now=now, window=WINDOW, beat=self._timings.beat)

    async def _watch_over(self, bridge: _Bridge, owner: str) -> CloseReason | None:
        """Wait for the bridge's end; say what is at fault, if anything is."""
        loop = asyncio.get_running_loop()
        while not bridge.over.is_set():
            try:
                async with asyncio.timeout(_LOOK):
                    await bridge.over.wait()
            except TimeoutError:
                silent = loop.time() - bridge.pipe.last_received_at
                suspicious = silent > _SUSPICIOUS or not bridge.pipe.heard
                if suspicious and await self._is_dead(owner):
                    return CANNOT_RESUME
                if silent > self._timings.silence:
                    return BROKEN
        return bridge.fault

    async def _is_dead(self, owner: str) -> bool:
        try:
            return not await self._replicas.alive(owner)
        except StoreUnavailable:
            return False


class _Bridge:
    """One browser here whose conversation is elsewhere: its socket's receiver, and an end."""

    def __init__(
        self,
        multiplexer: StreamMultiplexer,
        socket: Socket,
        *,
        outgoing: str,
        incoming: str,
        pipe: ReliableStream,
        warn: Callable[[Socket, int], None],
    ) -> None:
        self.outgoing = outgoing
        self.incoming = incoming
        self.pipe = pipe
        self.over = asyncio.Event()
        self.gone = asyncio.Event()
        self.fault: CloseReason | None = None
        self._multiplexer = multiplexer
        self._socket = socket
        self._warn = warn
        self._paused = False
        self._written = 0

    # As the browser's socket sees it: a receiver.

    def text_received(self, payload: bytes) -> None:
        self._say(Item(ItemKind.FRAME, payload))
        if not self._paused and self.pipe.waiting > HIGH_WATER:
            self._paused = True
            self._socket.pause_reading()

    def binary_received(self, size: int) -> None:
        self._say(Item(ItemKind.BINARY, b"%d" % size))

    def read_complete(self) -> None:
        """Nothing to do: the multiplexer writes at the end of the loop iteration."""

    def pause_writing(self) -> None:
        """Nothing to do: what the socket has not written is not confirmed."""

    def resume_writing(self) -> None:
        self._confirm()

    def protocol_error(self, code: int) -> None:
        """Say why here; the owner hears of it by the close, and ends the conversation."""
        self._warn(self._socket, code)

    def connection_lost(self, closed: CloseEvent) -> None:
        if not self.over.is_set():
            self._say(closed_item(closed))
            self._leave()
        self.gone.set()

    # As the multiplexer sees it: a stream's owner.

    def received(self, batch: Sequence[tuple[int, Sequence[Item]]]) -> None:
        for _, items in batch:
            for item in items:
                self._written += item.size
                if item.kind is ItemKind.FRAME:
                    self._socket.send_text(item.value)
                elif item.kind is ItemKind.CLOSE:
                    code, reason = orjson.loads(item.value)
                    self._socket.close(code, reason)
                elif item.kind is ItemKind.ABORT:
                    self._socket.abort()
        self._socket.flush()
        self._confirm()
        if self._paused and self.pipe.waiting < LOW_WATER:
            self._paused = False
            self._socket.resume_reading()

    def broken(self) -> None:
        self.release(BROKEN)

    def tick(self, now: float) -> None:  # noqa: ARG002 - `serve` looks at the time
        self._confirm()

    # As `serve` sees it.

    def release(self, fault: CloseReason) -> None:
        """End the bridge, not yet the browser's socket, for a reason of this side."""
        self.fault = self.fault or fault
        self.over.set()

    def give_up(self) -> None:
        """Tell the owner that the browser is gone from here, unless it knows."""
        if not self.over.is_set() or self.fault is not None:
            self.pipe.drop()
            self._say(Item(ItemKind.ENDED, b'[1006,"",false]'))
        self._leave()

    def _say(self, item: Item) -> None:
        self.pipe.put(item)
        self._multiplexer.notify(self)

    def _leave(self) -> None:
        self.over.set()
        self._multiplexer.leave(self)

    def _confirm(self) -> None:
        """Confirm what was delivered, once the socket has passed nearly all of it on."""
        if self._socket.write_buffer_size < LOW_WATER:
            size, self._written = self._written, 0
            if self.pipe.done(self.pipe.received, size):
                self._multiplexer.notify(self)
