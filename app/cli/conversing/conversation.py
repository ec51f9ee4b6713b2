"""One conversation over a gateway's WebSocket, with what is only seen by its live events."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from app.cli.conversing.gateway import GatewayFailed, problem_in
from app.cli.conversing.observed import (
    UNSEEN,
    Closed,
    Error,
    Observed,
    ToolCall,
    read,
    sentence_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.cli.conversing.gateway import Gateway

SUBPROTOCOL: Final = "blackbox-relay.v1"
MAX_FRAME: Final = 16 << 20
MAX_WAITING: Final = 10_000
CLOSE_WITHIN: Final = 1.0
WATCH_WITHIN: Final = 5.0
CONFIRM_EVERY: Final = 50
NO_CLOSE_FRAME: Final = 1006


class Conversation:
    """What is said by `say` goes to the agent; `next` is what comes of it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.session_id: str | None = None
        self.agent: str | None = None
        self._socket = socket
        self._seen: asyncio.Queue[Observed] = asyncio.Queue(MAX_WAITING)
        self._calls: set[tuple[str, bool]] = set()
        self._error: str | None = None
        self._received = 0
        self._last_tool = ""
        self._opened = asyncio.Event()

    async def say(self, text: str) -> None:
        """Write to the agent; what comes too late for a closed socket is lost."""
        await self._send({"type": "incomingChatMessage", "content": text})

    async def answer(self, call_id: str, result: Any) -> None:
        """Answer a tool that the agent has asked this client for."""
        content = {"id": call_id, "result": result}
        await self._send({"type": "websocketToolResponse", "content": content})

    async def hang_up(self) -> None:
        """Ask for the end."""
        await self._send({"type": "terminate"})

    async def next(self, timeout: float | None) -> Observed:  # noqa: ASYNC109 - as asyncio.Queue's callers write it
        """Return what happens next. Raises `TimeoutError` after so many seconds of nothing."""
        async with asyncio.timeout(timeout):
            return await self._seen.get()

    async def opened(self) -> None:
        """Wait until the session has begun or was refused."""
        await self._opened.wait()

    async def _send(self, frame: dict[str, Any]) -> None:
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps(frame))

    async def receive(self) -> None:
        """Read the socket to its end."""
        code = NO_CLOSE_FRAME
        try:
            async for payload in self._socket:
                frame = json.loads(payload)
                if isinstance(frame, dict):
                    await self._take(frame)
        except ConnectionClosed:
            pass
        if self._socket.close_code is not None:
            code = self._socket.close_code
        self._opened.set()
        await self._seen.put(Closed(code, self._error or sentence_of(code)))

    async def _take(self, frame: dict[str, Any]) -> None:
        kind, name = str(frame.get("type")), str(frame.get("name"))
        if name == "relay.session":
            self.session_id, self.agent = frame["data"]["sessionId"], frame["data"]["agent"]
            self._opened.set()
        if not kind.startswith("relay.") and not name.startswith("relay."):
            self._received += 1
            if self._received % CONFIRM_EVERY == 0:
                await self._send({"type": "relay.received", "count": self._received})
        seen = read(frame)
        if isinstance(seen, Error):
            code = (frame.get("data") or {}).get("code")
            self._error = None if code is None else seen.message
        if isinstance(seen, ToolCall) and kind == "websocketToolRequest":
            seen = ToolCall(seen.id, seen.name, seen.args, for_client=True)
        await self._put(seen)

    async def _put(self, seen: Observed | None) -> None:
        """Queue what was seen; a tool call that is seen in several ways comes once."""
        if isinstance(seen, ToolCall):
            if (seen.id, seen.for_client) in self._calls:
                return
            again = bool(self._calls & {(seen.id, True), (seen.id, False)})
            self._calls.add((seen.id, seen.for_client))
            if again and not seen.for_client:
                return
        if seen is not None:
            await self._seen.put(seen)

    async def watched(self, event: dict[str, Any]) -> None:
        """Take one of the session's live events: tool calls that no frame shows to a browser.

        A token that may not see contents sees the tool's name, in the event before its frame's.
        """
        if event.get("kind") == "tool":
            self._last_tool = str(event.get("tool"))
        if event.get("kind") != "frame" or event.get("direction") != "from_upstream":
            return
        content = event.get("content")
        if isinstance(content, dict) and event.get("type") in {"websocketToolRequest", "toolCall"}:
            await self._put(read(content))
        elif content is None and event.get("type") == "websocketToolRequest":
            await self._put(ToolCall(f"at {event.get('at')}", self._last_tool, UNSEEN))


@asynccontextmanager
async def conversing(
    gateway: Gateway, agent: str | None, credential: str | None
) -> AsyncIterator[Conversation]:
    """Open a conversation for the time of a block. Raises `GatewayFailed` if it is refused.

    With a service token its live events are followed, too, from soon after its start on.
    """
    offered = [SUBPROTOCOL] if credential is None else [SUBPROTOCOL, f"bearer.{credential}"]
    url = gateway.socket_url(agent, call_type="chat")
    try:
        socket = await connect(
            url,
            subprotocols=offered,  # type: ignore[arg-type]
            proxy=None if gateway.is_local else True,
            max_size=MAX_FRAME,
            close_timeout=CLOSE_WITHIN,
        )
    except InvalidStatus as refused:
        response = refused.response
        raise GatewayFailed(problem_in(response.status_code, bytes(response.body or b""))) from None
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise GatewayFailed(
            f"no gateway answers at {gateway.base} ({type(error).__name__})"
        ) from None
    conversation = Conversation(socket)
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(conversation.receive(), name="conversation:receive")
        watching: asyncio.Task[None] | None = None
        try:
            await conversation.opened()
            if gateway.token is not None and conversation.session_id is not None:
                watched = asyncio.Event()
                watching = tasks.create_task(
                    _watch(gateway, conversation, watched), name="conversation:watch"
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(WATCH_WITHIN):
                        await watched.wait()
            yield conversation
        finally:
            reading.cancel()
            if watching is not None:
                watching.cancel()
            await socket.close()


async def _watch(gateway: Gateway, conversation: Conversation, watched: asyncio.Event) -> None:
    try:
        async for event in gateway.watch(conversation.session_id or ""):
            watched.set()
            if event is not None:
                await conversation.watched(event)
    finally:
        watched.set()
