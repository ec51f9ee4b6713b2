"""A vendor that sends exactly what a test says, and keeps exactly what it is sent."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class ScriptedVendor:
    """One conversation at a time. `received` are the frames that came, `sent` those that went."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.sent: list[str] = []
        self.url = ""
        self.greeting: dict[str, Any] = {"type": "event", "name": "connection", "data": {}}
        self.connected = asyncio.Event()
        self.closed = asyncio.Event()
        self._socket: ServerConnection | None = None

    async def converse(self, socket: ServerConnection) -> None:
        """Keep what comes; say hello after `initialize`."""
        self._socket = socket
        self.received, self.sent = [], []
        self.closed.clear()
        with suppress(ConnectionClosed):
            self.received.append(str(await socket.recv()))
            await self.say(self.greeting)
            self.connected.set()
            while True:
                self.received.append(str(await socket.recv()))
        self.closed.set()

    async def say(self, frame: dict[str, Any] | str) -> str:
        """Send a frame; return it as it was sent."""
        assert self._socket is not None
        told = frame if isinstance(frame, str) else json.dumps({"timestamp": "t", **frame})
        self.sent.append(told)
        await self._socket.send(told)
        return told

    async def text(self, text: str, source: str = "assistant", **more: Any) -> str:
        """Send a `text`."""
        return await self.say({"type": "text", "content": {"source": source, "text": text, **more}})

    async def ask(self, call_id: str, name: str, args: Any) -> str:
        """Ask for a tool."""
        content = {"id": call_id, "toolName": name, "args": args}
        return await self.say({"type": "websocketToolRequest", "content": content})

    async def close(self) -> None:
        """End as a vendor does: result, event, close."""
        assert self._socket is not None
        await self.say({"type": "event", "name": "closed", "data": {}})
        await self._socket.close()

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What came, read."""
        return [json.loads(text) for text in self.received]

    def answers(self) -> dict[str, Any]:
        """Results of tools, by call id."""
        return {
            frame["content"]["id"]: frame["content"]["result"]
            for frame in self.frames
            if frame["type"] == "websocketToolResponse"
        }

    def messages(self) -> list[str]:
        """What users wrote."""
        return [f["content"] for f in self.frames if f["type"] == "incomingChatMessage"]


@asynccontextmanager
async def scripted_vendor() -> AsyncIterator[ScriptedVendor]:
    """A vendor for the time of a block."""
    vendor = ScriptedVendor()
    async with serve(vendor.converse, "127.0.0.1", 0, compression=None, max_size=None) as server:
        vendor.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield vendor
