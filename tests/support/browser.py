"""A browser, as a test drives it: it keeps what it saw, and must never have seen a secret."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.canary import reveals_nothing
from tests.support.gateway import KEY, SERVICE_TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

NATIVE = "blackbox-relay.v1"
PATIENCE = 60.0
FORBIDDEN = {"API key": KEY, "service token": SERVICE_TOKEN}


class Browser:
    """One socket. `raw` and `frames` are all that came, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.raw: list[str] = []

    @property
    def frames(self) -> list[dict[str, Any]]:
        """What came so far."""
        return [json.loads(text) for text in self.raw]

    @property
    def reason(self) -> str:
        """The close frame's text."""
        received = self.socket.protocol.close_rcvd
        return "" if received is None else received.reason

    async def read(self) -> dict[str, Any]:
        """Take the next frame."""
        async with asyncio.timeout(PATIENCE):
            text = await self.socket.recv()
        assert isinstance(text, str), "a binary frame came"
        self.raw.append(text)
        frame: dict[str, Any] = json.loads(text)
        return frame

    async def frame(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """Read until a frame of this type and name."""
        while True:
            frame = await self.read()
            if frame["type"] == kind and (name is None or frame.get("name") == name):
                return frame

    async def started(self) -> str:
        """Read the session's first frame; return the session's id."""
        session: str = (await self.frame("event", "relay.session"))["data"]["sessionId"]
        return session

    async def connected(self) -> str:
        """Read until the vendor's conversation is open; return the session's id."""
        session = await self.started()
        await self.frame("event", "connection")
        return session

    async def closed(self) -> int:
        """Read to the end; return the close code, 1006 without a close frame."""
        try:
            while True:
                await self.read()
        except ConnectionClosed as over:
            return 1006 if over.rcvd is None else int(over.rcvd.code)

    async def refused(self) -> tuple[dict[str, Any], int]:
        """Read to the end; return the last error frame's data, and the close code."""
        code = await self.closed()
        errors: list[dict[str, Any]] = [
            frame.get("data", {}) for frame in self.frames if frame["type"] == "error"
        ]
        return (errors[-1] if errors else {}), code

    async def send(self, frame: Mapping[str, Any] | str | bytes) -> None:
        """Send a frame: as it is, or as JSON."""
        await self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def say(self, text: str) -> None:
        """Write to the agent."""
        await self.send({"type": "incomingChatMessage", "content": text})

    async def wish(self, call_type: str | None = "chat", **data: Any) -> None:
        """Send an `initialize` of the browser's own."""
        request: dict[str, Any] = {"additionalData": data}
        if call_type is not None:
            request["callType"] = call_type
        await self.send({"type": "initialize", "request": request})

    async def talks(self, text: str = "are you there?") -> None:
        """Write to an echo, and hear it answer."""
        await self.say(text)
        while True:
            content = (await self.frame("text"))["content"]
            if content["source"] == "assistant" and content["text"] == text:
                return

    async def terminate(self) -> int:
        """End the conversation; return the close code."""
        await self.send({"type": "terminate"})
        return await self.closed()


@asynccontextmanager
async def browser(
    url: str, *, native: bool = False, bearer: str | None = None, **options: Any
) -> AsyncIterator[Browser]:
    """A browser for the time of a block. `options` go to `websockets`."""
    offered = [NATIVE] if native or bearer is not None else []
    if bearer is not None:
        offered.append(f"bearer.{bearer}")
    settings: dict[str, Any] = {
        "subprotocols": offered or None,
        "compression": None,
        "max_size": None,
        "max_queue": None,
        "ping_interval": None,
        "open_timeout": PATIENCE,
        "proxy": None,
    }
    async with connect(url, **(settings | options)) as socket:
        it = Browser(socket)
        try:
            yield it
        finally:
            seen = "\n".join([*it.raw, it.reason, repr(socket.response)])
            reveals_nothing("what a browser saw", seen, FORBIDDEN)


async def native_socket(url: str, origin: str) -> ClientConnection:
    """A page's socket that offers to resume; the caller closes it."""
    return await connect(
        url,
        subprotocols=[NATIVE],  # type: ignore[list-item]
        proxy=None,
        compression=None,
        ping_interval=None,
        open_timeout=30,
        origin=origin,  # type: ignore[arg-type]
    )
