"""One accepted WebSocket, with its bytes in reach, so that it can misbehave on purpose.

The framing is websockets' Sans-I/O protocol; the bytes go over asyncio streams. A fault needs
what a well-bred server class forbids: RST, FIN without a close frame, raw and broken frames,
pongs withheld, reading at a crawl.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import SEND_EOF, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.server import ServerProtocol

CHUNK: Final = 64 * 1024
PONG_HEAD: Final = 0x80 | Opcode.PONG
ABNORMAL: Final = 1006


class SocketGone(Exception):  # noqa: N818 - a fact about the peer, not a fault of ours
    """The connection is closed or lost: nothing can be sent or received any more."""


class VendorSocket:
    """The vendor's end of one WebSocket: one reader task, any number of senders.

    The attributes are the switches of faults: `answer_pings` off withholds pongs, `fragment`
    cuts each text frame into pieces of that many bytes, `crawl` reads that many bytes at a time.
    `on_ending` is called before the first byte goes out by which the peer can see the end.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        protocol: ServerProtocol,
        *,
        close_timeout: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = protocol
        self._close_timeout = close_timeout
        self._messages: deque[str | bytes] = deque()
        self._parts: list[bytes] = []
        self._opcode = Opcode.TEXT
        self._reaper: asyncio.TimerHandle | None = None
        self.answer_pings = True
        self.fragment: int | None = None
        self.crawl: int | None = None
        self.pings = 0
        self.on_ending: Callable[[], None] | None = None

    @property
    def close_received(self) -> int | None:
        """The code of the peer's close frame, 1005 if it bore none, `None` without a frame."""
        return self._protocol.close_rcvd.code if self._protocol.close_rcvd else None

    @property
    def close_sent(self) -> int | None:
        """The code of our close frame, or `None` if we sent none."""
        return self._protocol.close_sent.code if self._protocol.close_sent else None

    @property
    def closed_by_peer(self) -> bool:
        """Whether the peer sent the first close frame."""
        return self._protocol.close_rcvd_then_sent is True

    @property
    def is_open(self) -> bool:
        """Whether a message may still be sent."""
        return self._protocol.state is State.OPEN and not self._writer.is_closing()

    async def receive(self) -> str | bytes:
        """Wait for the next whole message. Raises `SocketGone` when there will be none."""
        while not self._messages:
            data = await self._read()
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    self._assemble(event)
            self._write_out()
            if not data:
                raise SocketGone
        return self._messages.popleft()

    async def send(self, payload: bytes) -> None:
        """Send one text message and wait while the peer's buffers are full."""
        try:
            if self.fragment is None:
                self._protocol.send_text(payload)
            else:
                self._send_in_fragments(payload, self.fragment)
        except InvalidState as exc:
            raise SocketGone from exc
        await self.flush()

    async def send_frame(
        self, payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True
    ) -> None:
        """Write one frame as it is, past every rule of the protocol."""
        self._protocol.send_frame(Frame(opcode, payload, fin))
        await self.flush()

    async def flush(self) -> None:
        """Write what the protocol has to say, and wait while the peer's buffers are full."""
        self._write_out()
        try:
            await self._writer.drain()
        except OSError as exc:
            raise SocketGone from exc

    async def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; the peer has the close time-out to answer."""
        try:
            self._protocol.send_close(code, _shortened(reason))
        except InvalidState as exc:
            raise SocketGone from exc
        self._reap_later()
        await self.flush()

    def drop(self) -> None:
        """End the stream without a close frame (TCP FIN): the peer sees 1006."""
        self._protocol.state = State.CLOSING
        self._ending()
        if not self._writer.is_closing():
            self._writer.write_eof()
        self._reap_later()

    def reset(self) -> None:
        """Reset the connection (TCP RST); what was not yet sent is lost."""
        self._protocol.state = State.CLOSING
        self._ending()
        sock = self._writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def abort(self) -> None:
        """Let go of the connection at once."""
        if self._reaper is not None:
            self._reaper.cancel()
        self._writer.transport.abort()

    async def freeze(self, seconds: float) -> None:
        """Leave the peer's bytes in the kernel for so long, as a stopped process does."""
        # A socket's transport reads and writes; uvloop's is no subclass of asyncio's.
        transport = cast("asyncio.Transport", self._writer.transport)
        transport.pause_reading()
        await asyncio.sleep(seconds)
        if not transport.is_closing():
            transport.resume_reading()

    def read_slowly(self, size: int) -> None:
        """Read `size` bytes at a time, with a small buffer in the kernel."""
        self.crawl = size
        sock = self._writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    async def _read(self) -> bytes:
        if self.crawl is not None:
            await asyncio.sleep(0.25)
        try:
            return await self._reader.read(self.crawl or CHUNK)
        except OSError:
            return b""

    def _assemble(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self.pings += 1
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        if frame.opcode is not Opcode.CONT:
            self._opcode = frame.opcode
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        message = b"".join(self._parts)
        self._parts.clear()
        if self._opcode is Opcode.BINARY:
            self._messages.append(message)
            return
        try:
            self._messages.append(message.decode())
        except UnicodeDecodeError:
            self._protocol.fail(1007, "Invalid UTF-8")

    def _send_in_fragments(self, payload: bytes, size: int) -> None:
        self._protocol.send_text(payload[:size], fin=len(payload) <= size)
        for start in range(size, len(payload), size):
            self._protocol.send_continuation(
                payload[start : start + size], fin=start + size >= len(payload)
            )

    def _ending(self) -> None:
        if self.on_ending is not None:
            self.on_ending()

    def _write_out(self) -> None:
        if self._protocol.state is not State.OPEN:
            self._ending()
        if self._writer.is_closing():
            self._protocol.data_to_send()
            return
        for data in self._protocol.data_to_send():
            if data == SEND_EOF:
                self._writer.write_eof()
                self._reap_later()
            elif self.answer_pings or data[0] != PONG_HEAD:
                self._writer.write(data)

    def _reap_later(self) -> None:
        if self._reaper is None:
            loop = asyncio.get_running_loop()
            self._reaper = loop.call_later(self._close_timeout, self.abort)


def _shortened(reason: str) -> str:
    """Cut a close reason to the 123 bytes that a control frame has for it (RFC 6455 §5.5)."""
    return reason.encode()[:123].decode(errors="ignore")
