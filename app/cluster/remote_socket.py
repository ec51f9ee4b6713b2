"""The owner's side of a bridge: a socket whose browser is on another replica."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from app.cluster.stream import Item, ItemKind, ReliableStream
from app.websocket.interface import ABNORMAL, NULL_HANDLER, CloseEvent, Socket, SocketHandler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.cluster.multiplexer import StreamMultiplexer

HIGH_WATER: Final = 256 * 1024
LOW_WATER: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class BridgeTimings:
    """Of one bridge between replicas, in seconds.

    - `beat`: how often each end speaks at least.
    - `silence`: how long an end may say nothing before it counts as gone. Several times `beat`.
    - `closing`: how long a browser may take for its closing handshake.
    """

    beat: float = 1.5
    silence: float = 4.0
    closing: float = 10.0


class RemoteSocket(Socket):
    """A browser's socket, over two streams.

    `write_buffer_size` counts what was sent and is not yet written to the browser's own socket,
    with a few bytes for each message. The death of the other replica, or of the store, ends it with
    1006 within `BridgeTimings.silence` and a little.
    """

    def __init__(
        self,
        multiplexer: StreamMultiplexer,
        *,
        outgoing: str,
        incoming: str,
        pipe: ReliableStream,
        timings: BridgeTimings,
    ) -> None:
        self.outgoing = outgoing
        self.incoming = incoming
        self.pipe = pipe
        self._multiplexer = multiplexer
        self._timings = timings
        self._loop = asyncio.get_running_loop()
        self._handler: SocketHandler | None = None
        self._held: deque[tuple[int, deque[Item]]] = deque()
        self._delivering = False
        self._reading = True
        self._choked = False
        self._close_by: float | None = None
        self._closed: CloseEvent | None = None

    def __repr__(self) -> str:
        state = "closing" if self._close_by is not None else "open"
        if self._closed is not None:
            state = f"closed by {self._closed.code}"
        return f"<RemoteSocket: {state}, {self.pipe.waiting} bytes wait for the browser>"

    # As the relay sees it: a socket.

    @property
    def write_buffer_size(self) -> int:
        """Bytes that the browser's own socket has not taken yet."""
        return self.pipe.waiting

    def open(self, handler: SocketHandler) -> None:
        """Name the owner; what came before is delivered in the loop's next turn."""
        self._handler = handler
        if self._choked:
            handler.pause_writing()
        self._loop.call_soon(self._deliver)

    def detach(self) -> None:
        """Forget the owner: nothing more is delivered to it."""
        self._handler = NULL_HANDLER

    def send_text(self, payload: bytes) -> None:
        """Send one text message; all of a loop turn's go in one entry."""
        if self._closed is not None or self._close_by is not None:
            return
        self.pipe.put(Item(ItemKind.FRAME, payload))
        self._multiplexer.notify(self)
        if not self._choked and self.pipe.waiting > HIGH_WATER:
            self._choked = True
            if self._handler is not None:
                self._handler.pause_writing()

    def flush(self) -> None:
        """Do nothing: the multiplexer writes at the end of the loop iteration."""

    def pause_reading(self) -> None:
        """Deliver nothing more: the other replica stops its browser when the window is full."""
        self._reading = False

    def resume_reading(self) -> None:
        """Deliver again, from the loop's next turn on."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._deliver)

    def close(self, code: int, reason: str = "") -> None:
        """Let the other replica close its browser's socket after what was sent."""
        if self._closed is not None or self._close_by is not None:
            return
        self._close_by = self._loop.time() + self._timings.closing
        self.pipe.put(Item(ItemKind.CLOSE, orjson.dumps([code, reason])))
        self._multiplexer.notify(self)

    def abort(self) -> None:
        """Let the other replica drop its browser's socket."""
        if self._closed is None:
            self._give_up()
            self._loop.call_soon(self._report)

    # As the multiplexer sees it: a stream's owner.

    def received(self, batch: Sequence[tuple[int, Sequence[Item]]]) -> None:
        """Take items, deliver them if they may be, and see whether the browser caught up."""
        if self._closed is not None:
            return
        self._held.extend((number, deque(items)) for number, items in batch)
        self._deliver()
        if self._choked and self.pipe.waiting < LOW_WATER:
            self._choked = False
            if self._handler is not None and self._closed is None:
                self._handler.resume_writing()

    def broken(self) -> None:
        """End it: the stream misses something."""
        if self._closed is None:
            self._give_up()
            self._report()

    def tick(self, now: float) -> None:
        """End it when the other end is silent, or its browser does not close."""
        late = self._close_by is not None and now > self._close_by
        if late or now - self.pipe.last_received_at > self._timings.silence:
            self.broken()

    def _deliver(self) -> None:
        """Deliver what is held, until there is no more, or the owner has paused reading."""
        if self._handler is None or self._delivering:
            return
        self._delivering = True
        delivered = False
        while self._held and self._may_deliver():
            number, items = self._held[0]
            size = 0
            while items and self._may_deliver():
                item = items.popleft()
                size += item.size
                delivered = True
                self._deliver_one(self._handler, item)
            if not items:
                self._held.popleft()
            if self.pipe.done(number - bool(items), size):
                self._multiplexer.notify(self)
        self._delivering = False
        if delivered and self._closed is None:
            self._handler.read_complete()
        self._report()

    def _may_deliver(self) -> bool:
        return self._reading and self._closed is None

    def _deliver_one(self, handler: SocketHandler, item: Item) -> None:
        if item.kind is ItemKind.ENDED:
            self._closed = closed_of(item.value)
            self._multiplexer.leave(self, over=True)
        elif self._close_by is not None:
            return  # after our close nothing is read but its answer
        elif item.kind is ItemKind.FRAME:
            handler.text_received(item.value)
        elif item.kind is ItemKind.BINARY:
            handler.binary_received(int(item.value))

    def _give_up(self) -> None:
        """End without waiting for the other end; tell it so, if that is possible."""
        self._closed = CloseEvent(ABNORMAL, by_peer=False)
        self.pipe.drop()
        self.pipe.put(Item(ItemKind.ABORT))
        self._multiplexer.leave(self)

    def _report(self) -> None:
        """If it is over, tell the owner, once."""
        if self._closed is not None and self._handler is not None:
            handler, self._handler = self._handler, None
            self._held.clear()
            handler.connection_lost(self._closed)


def closed_item(closed: CloseEvent) -> Item:
    """Say how a browser's socket ended."""
    return Item(ItemKind.ENDED, orjson.dumps([closed.code, closed.reason, closed.by_peer]))


def closed_of(value: bytes) -> CloseEvent:
    """Read how a browser's socket ended."""
    code, reason, by_peer = orjson.loads(value)
    return CloseEvent(code, reason, by_peer)
