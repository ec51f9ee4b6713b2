"""One browser here whose conversation is on another replica: its socket, and a stream's end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import orjson

from app.cluster.remote_socket import HIGH_WATER, LOW_WATER, closed_item
from app.cluster.stream import Item, ItemKind, ReliableStream
from app.protocol.close_codes import CloseReason, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.cluster.multiplexer import StreamMultiplexer
    from app.websocket.interface import CloseEvent, Socket

BROKEN: Final = CloseReason(
    1001,
    "bridge_broken",
    "The way to your conversation was interrupted. Please resume.",
    Retry.RESUME,
    503,
)


class BrowserBridge:
    """One browser here whose conversation is elsewhere: its socket's receiver, and an end."""

    def __init__(
        self,
        multiplexer: StreamMultiplexer,
        socket: Socket,
        *,
        outgoing: str,
        incoming: str,
        pipe: ReliableStream,
        send_error: Callable[[Socket, int], None],
    ) -> None:
        self.outgoing = outgoing
        self.incoming = incoming
        self.pipe = pipe
        self.over = asyncio.Event()
        self.gone = asyncio.Event()
        self.fault: CloseReason | None = None
        self._multiplexer = multiplexer
        self._socket = socket
        self._send_error = send_error
        self._paused = False
        self._written = 0

    def __repr__(self) -> str:
        state = "over" if self.over.is_set() else "paused" if self._paused else "open"
        return f"<BrowserBridge: {state}, {self.pipe.waiting} bytes wait for the owner>"

    # As the browser's socket sees it: a receiver.

    def text_received(self, payload: bytes) -> None:
        """Pass a message on to the owner; read no further while too much waits for it."""
        self._say(Item(ItemKind.FRAME, payload))
        if not self._paused and self.pipe.waiting > HIGH_WATER:
            self._paused = True
            self._socket.pause_reading()

    def binary_received(self, size: int) -> None:
        """Tell the owner of a binary message, which it refuses."""
        self._say(Item(ItemKind.BINARY, b"%d" % size))

    def read_complete(self) -> None:
        """Nothing to do: the multiplexer writes at the end of the loop iteration."""

    def pause_writing(self) -> None:
        """Nothing to do: what the socket has not written is not confirmed."""

    def resume_writing(self) -> None:
        """Confirm what the socket has written meanwhile."""
        self._confirm()

    def protocol_error(self, code: int) -> None:
        """Say why here; the owner hears of it by the close, and ends the conversation."""
        self._send_error(self._socket, code)

    def connection_lost(self, closed: CloseEvent) -> None:
        """Tell the owner how the browser's socket closed."""
        if not self.over.is_set():
            self._say(closed_item(closed))
            self._leave()
        self.gone.set()

    # As the multiplexer sees it: a stream's owner.

    def received(self, batch: Sequence[tuple[int, Sequence[Item]]]) -> None:
        """Write what the owner sent, and confirm it."""
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
        """The stream cannot be read on."""
        self.release(BROKEN)

    def tick(self, now: float) -> None:  # noqa: ARG002 - `serve` looks at the time
        """Confirm what was written since."""
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
