"""A client of the vendor for the emulator's own tests: it sends what it is told and keeps all."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from app.emulator import Emulator

DEADLINE = 15.0
PATIENCE = 60.0


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()


class Peer:
    """One conversation, from the client's side."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[dict[str, Any]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def dial(
        cls, emulator: Emulator, endpoint: str = "dev", **options: Any
    ) -> AsyncIterator[Self]:
        key, token = emulator.options.api_key, emulator.options.token
        secret = options.pop("secret", key if endpoint == "dev" else token)
        parameter = "authorization" if endpoint == "dev" else "token"
        url = f"{emulator.url}/api/v1/ws/{endpoint}?{parameter}={secret}"
        options = {"proxy": None, "compression": None, "ping_interval": None, **options}
        async with connect(url, open_timeout=DEADLINE, **options) as socket:
            yield cls(socket)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def send(self, type_: str, **fields: Any) -> None:
        frame = {"type": type_, "timestamp": now(), "channelId": None, **fields}
        await self.raw(json.dumps({k: v for k, v in frame.items() if v is not ...}))

    async def raw(self, message: str | bytes) -> None:
        await self.socket.send(message)

    async def initialize(
        self,
        agent: str | None = "echo",
        call_type: str = "chat",
        *,
        carries: str = "devRequest",
        endpoint: str | None = None,
        **additional: Any,
    ) -> None:
        if agent is not None:
            additional["agent"] = agent
        request: dict[str, Any] = {"callType": call_type, "additionalData": additional}
        if endpoint is not None:
            request["endpoint"] = endpoint
        await self.send("initialize", **{carries: request})

    async def say(self, text: str) -> None:
        await self.send("incomingChatMessage", content=text)

    async def answer(self, call_id: str, result: Any) -> None:
        await self.send("websocketToolResponse", content={"id": call_id, "result": result})

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
        self.frames.append(frame)
        return frame

    async def until(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Read on to the first frame of that type whose fields are these."""
        async with asyncio.timeout(PATIENCE):  # frames of other types may come without end
            while True:
                frame = await self.receive()
                if frame["type"] == type_ and all(frame.get(k) == v for k, v in fields.items()):
                    return frame

    async def spoken(self, turn: str | None = None) -> str:
        """Read texts of the assistant until they join to `turn`, or just the next one."""
        text = ""
        while True:
            frame = await self.until("text")
            if frame["content"]["source"] == "assistant":
                text += str(frame["content"]["text"])
                if turn is None or text == turn:
                    return text
                assert turn.startswith(text), f"{text!r} is no beginning of {turn!r}"

    async def heard_until(self, *parts: str) -> str:
        """Read texts of the assistant until they hold each of `parts`, in whatever order."""
        text = ""
        while not all(part in text for part in parts):
            text += await self.spoken()
        return text

    async def closed(self) -> tuple[int, str]:
        """Read to the end; the close code (1006 without a frame) and reason."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.receive()
        await asyncio.wait_for(self.socket.wait_closed(), DEADLINE)
        return self.socket.close_code or 1006, self.socket.close_reason or ""

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == type_]

    def names(self) -> list[str]:
        return [frame.get("name", frame["type"]) for frame in self.frames]


@contextlib.asynccontextmanager
async def raw(
    emulator: Emulator,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare TCP connection to the emulator."""
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def upgrade(secret: str) -> bytes:
    """The dev endpoint's handshake, by hand."""
    return (
        f"GET /api/v1/ws/dev?authorization={secret} HTTP/1.1\r\nHost: x\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
