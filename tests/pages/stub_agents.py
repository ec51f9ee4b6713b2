"""What stands in for agents behind the stub gateway: conversations, and their scripts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web


def stamp() -> str:
    return "2026-01-02T03:04:05.678Z"


def is_own(frame: dict[str, Any]) -> bool:
    return any(str(frame.get(key, "")).startswith("relay.") for key in ("type", "name"))


@dataclass
class Conversation:
    """One conversation's memory: what was sent, what is confirmed, what arrived."""

    id: str
    token: str
    agent: str
    query: dict[str, str]
    credential: str | None
    arrived: list[dict[str, Any]] = field(default_factory=list)
    approvals: list[dict[str, Any]] = field(default_factory=list)
    confirmations: list[int] = field(default_factory=list)
    sent: int = 0
    kept: list[tuple[int, str]] = field(default_factory=list)
    socket: web.WebSocketResponse | None = None
    inbox: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    ended: bool = False
    resumes: int = 0
    pings: int = 0

    async def say(self, frame: dict[str, Any]) -> None:
        """Number a frame, keep it, and send it if somebody is there."""
        text = json.dumps({"timestamp": stamp(), **frame})
        if not is_own(frame):
            self.sent += 1
            self.kept.append((self.sent, text))
        if self.socket is not None and not self.socket.closed:
            with contextlib.suppress(ConnectionError):
                await self.socket.send_str(text)

    async def text(self, text: str, source: str = "assistant") -> None:
        await self.say({"type": "text", "content": {"source": source, "text": text}})

    async def close(self, code: int = 1011) -> None:
        """Close the page's connection, which is there."""
        assert self.socket is not None
        await self.socket.close(code=code)

    async def queued(self, position: int, of: int, turn: str = "turn-1") -> None:
        data = {"position": position, "of": of, "turn": turn}
        await self.say({"type": "event", "name": "relay.queued", "data": data})

    async def next_message(self) -> dict[str, Any]:
        """The next frame that is no `initialize`."""
        while (frame := await self.inbox.get())["type"] == "initialize":
            pass
        return frame


async def echo(talk: Conversation) -> None:
    await talk.text("Hello! I repeat what you say.")
    while (frame := await talk.next_message())["type"] != "terminate":
        if frame["type"] == "incomingChatMessage":
            await talk.text(frame["content"], "user")
            await talk.text(frame["content"])


async def support(talk: Conversation) -> None:
    await talk.say({"type": "event", "name": "connection", "data": {"jobId": "job-1"}})
    await talk.text("Hello, this is Ada from support.")
    await talk.text("Which order is it about?")
    asked = await talk.next_message()
    if asked["type"] == "terminate":
        return
    await talk.text(asked["content"], "user")
    args = {"order_number": "A-1001", "status": "shipped", "eta": "Thursday"}
    content = {"id": "call-1", "toolName": "show_order", "args": args}
    await talk.say({"type": "websocketToolRequest", "channelId": "c1", "content": content})
    while (await talk.next_message())["type"] != "websocketToolResponse":
        pass
    await talk.text("It left our warehouse yesterday,")
    await talk.text("and arrives on Thursday.")
    while (await talk.next_message())["type"] != "terminate":
        pass
    await talk.say({"type": "conversationResult", "result": {"status": "Completed"}})


async def count(talk: Conversation) -> None:
    """Numbered frames of many sizes, as quickly as asked, until the browser says enough."""
    query = talk.query
    frames, pause = int(query.get("frames", "1000")), float(query.get("pause", "0.001"))
    for number in range(1, frames + 1):
        await talk.text(f"{number}:" + "x" * (number * 37 % 900), "user")
        if number % 7 == 0:
            await asyncio.sleep(pause)
    while (await talk.next_message())["type"] != "terminate":
        pass


async def tools(talk: Conversation) -> None:
    """Asks for the tool that a message names; twice under one id where the message says so."""
    number = 0
    while (frame := await talk.next_message())["type"] != "terminate":
        if frame["type"] != "incomingChatMessage":
            continue
        number += 1
        wanted = json.loads(frame["content"])
        content = {"id": f"t{number}", "toolName": wanted["tool"], "args": wanted.get("args", {})}
        for _ in range(wanted.get("times", 1)):
            await talk.say({"type": "websocketToolRequest", "content": content})


async def silent(talk: Conversation) -> None:
    while (await talk.next_message())["type"] != "terminate":
        pass


SCRIPTS: dict[str, Callable[[Conversation], Awaitable[None]]] = {
    "support": support,
    "echo": echo,
    "count": count,
    "tools": tools,
    "silent": silent,
}
