"""Who judges a case: the gateway's legs, over sockets; `websockets` and `wsproto`, as parsers."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from app.websocket.masking import apply_mask
from tests.websocket.peers import BINARY, CLOSE, PONG, TEXT, frame
from tests.websocket.rfc6455_cases import MAX_MESSAGE, NO_CODE, Frame, Verdict

if TYPE_CHECKING:
    from tests.websocket.rfc6455_cases import Case, Message

URI = parse_uri("ws://test/")
DEADLINE = 20.0  # seconds for one case
DROPPED = 1006


def octets(case: Case, *, mask: bool) -> bytes:
    """What is sent in a case; one that does not end itself is ended by a close of 1000."""
    sent = case.sent if case.ends_itself else (*case.sent, Frame(CLOSE, b"\x03\xe8"))
    return b"".join(encoded(each, mask=mask) for each in sent)


def encoded(sent: Frame, *, mask: bool) -> bytes:
    made = frame(sent.opcode, sent.payload, fin=sent.fin, mask=mask is sent.right_mask)
    return bytes((made[0] | sent.reserved << 4,)) + made[1:]


class Sender:
    """The raw end of a connection: sends a case, and reads what comes back until the close.

    It works on the socket itself: what has come is read even where sending has failed since.
    """

    def __init__(self, connection: socket.socket, *, client: bool) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while data := await self._loop.sock_recv(self._connection, 1 << 16):
                self._reader.feed_data(data)
        self._reader.feed_eof()

    async def leave(self) -> None:
        """Stop reading, and close TCP."""
        self._reading.cancel()
        await asyncio.wait((self._reading,))
        self._connection.close()

    async def head(self) -> bytes:
        """Read the head of the handshake."""
        async with asyncio.timeout(DEADLINE):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def send(self, data: bytes, step: int = 0) -> None:
        """Send octets, in writes of `step`; it ends where the peer takes no more."""
        step = step or len(data)
        with suppress(ConnectionError):
            for start in range(0, len(data), step):
                await self._loop.sock_sendall(self._connection, data[start : start + step])
                await asyncio.sleep(0)  # let what comes back be read in between

    async def judge(self, case: Case) -> Verdict:
        """The peer's verdict.

        Raises AssertionError where a frame breaks RFC 6455 §5.1 or §5.5.1, IncompleteReadError
        where TCP ends before a close came, and TimeoutError where neither comes.
        """
        sending = asyncio.create_task(self.send(octets(case, mask=self._client), case.chop))
        try:
            async with asyncio.timeout(DEADLINE):
                verdict = await self._receive()
                if self._client:
                    # The server closes TCP (§7.1.1), and sends nothing behind its close (§5.5.1).
                    assert await self._reader.read() == b"", "octets behind the close"
                return verdict
        finally:
            sending.cancel()
            await asyncio.wait((sending,))

    async def _receive(self) -> Verdict:
        frames: list[Message] = []
        while True:
            opcode, payload = await self._frame()
            if opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else NO_CODE
                return Verdict(tuple(frames), code)
            frames.append((opcode, payload))

    async def _frame(self) -> Message:
        first, second = await self._reader.readexactly(2)
        assert first & 0xF0 == 0x80, "no whole message without reserved bits"
        assert bool(second & 0x80) is not self._client, "wrong masking"
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self._reader.readexactly(2 if size == 126 else 8), "big")
        key = await self._reader.readexactly(4) if second & 0x80 else b""
        payload = await self._reader.readexactly(size)
        return first & 0x0F, apply_mask(payload, key) if key else payload


def judged_by_websockets(data: bytes, *, server: bool) -> Verdict:
    """What `websockets` answers. It leaves text to its caller, who decodes whole messages."""
    protocol: Any = (
        ServerProtocol(state=OPEN, max_size=MAX_MESSAGE)
        if server
        else ClientProtocol(URI, state=OPEN, max_size=MAX_MESSAGE)
    )
    protocol.receive_data(data)
    frames: list[Message] = []
    parts: list[bytes] = []
    kind = TEXT
    for event in protocol.events_received():
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if event.opcode is not Opcode.CONT:
                kind, parts = int(event.opcode), []
            parts.append(bytes(event.data))
            if event.fin:
                message = b"".join(parts)
                if kind == TEXT and not _is_utf8(message):
                    return Verdict(tuple(frames), 1007)
                frames.append((kind, message))
        elif event.opcode is Opcode.PING:
            frames.append((PONG, bytes(event.data)))
    sent = protocol.close_sent
    return Verdict(tuple(frames), None if sent is None else sent.code)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def judged_by_wsproto(data: bytes, *, server: bool) -> Verdict:
    """What `wsproto` answers, or would: its caller sends what its events ask for."""
    connection = Connection(ConnectionType.SERVER if server else ConnectionType.CLIENT)
    frames: list[Message] = []
    parts: list[bytes] = []
    connection.receive_data(data)
    try:
        for event in connection.events():
            if isinstance(event, TextMessage | BytesMessage):
                text = isinstance(event, TextMessage)
                said = event.data
                parts.append(said.encode() if isinstance(said, str) else bytes(said))
                if event.message_finished:
                    frames.append((TEXT if text else BINARY, b"".join(parts)))
                    parts = []
            elif isinstance(event, Ping):
                frames.append((PONG, bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                return Verdict(tuple(frames), int(event.code))
    except RemoteProtocolError as fault:
        hint = fault.event_hint
        code = int(hint.code) if isinstance(hint, CloseConnection) else DROPPED
        return Verdict(tuple(frames), code)
    return Verdict(tuple(frames), None)


LIBRARIES = {"websockets": judged_by_websockets, "wsproto": judged_by_wsproto}
