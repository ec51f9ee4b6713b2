"""A conversation as its agent sees it: say, hear, ask for a tool, offer a call, ring off."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Final, TypeVar

from app.emulator.partials import abandoned, partial_texts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from app.emulator.frame_variants import Frame, FrameVariants

T = TypeVar("T")
UNANSWERED: Final = {"error": {"code": "unanswered", "message": "No answer from the client."}}
INBOX: Final = 10_000


class Call:
    """What an agent's script works with. Sending raises `SocketGone` when the client has gone.

    `additional` is the initialize's additionalData. What a script puts into `result` goes out in
    the conversationResult; `drop_at_end` ends without a close frame, as finished voice calls do.
    """

    def __init__(
        self,
        call_id: str,
        call_type: str,
        endpoint: str | None,
        additional: Mapping[str, Any],
        send: Callable[[Frame], Awaitable[None]],
        variants: FrameVariants,
        *,
        pace: float = 0.0,
        tool_timeout: float = 30.0,
    ) -> None:
        self.id = call_id
        self.call_type = call_type
        self.endpoint = endpoint
        self.additional = additional
        self.variants = variants
        self.result: dict[str, Any] = {"status": "Completed", "finishReason": "agentHangup"}
        self.drop_at_end = False
        self.on_spoken: Callable[[int], Awaitable[None]] | None = None
        self._send = send
        self._pace = pace
        self._tool_timeout = tool_timeout
        self._inbox: asyncio.Queue[str] = asyncio.Queue(INBOX)
        self._waiting: dict[str, list[asyncio.Future[Any]]] = {}
        self._sdp_answer: asyncio.Future[str] | None = None
        self._tool_ids = itertools.count(1)
        self._spoken = 0
        self._final_texts = itertools.count()

    def setting(self, name: str, default: T) -> T:
        """Read a setting of the script from additionalData, if it is there and of that type."""
        value = self.additional.get(name, default)
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        return value if type(value) is type(default) else default

    async def send(self, frame: Frame) -> None:
        """Send any frame; the dialect fills in the envelope."""
        await self._send(frame)

    async def say(self, turn: str, pieces: int = 1, **extra: object) -> None:
        """Speak a turn, in up to `pieces` text frames; joined they are the turn."""
        for piece in cut(turn, self.setting("pieces", pieces)):
            await self._partials("assistant", piece)
            content = {"source": "assistant", "text": piece, **extra}
            await self._send({"type": "text", "content": content})
            self._spoken += 1
            if self.on_spoken is not None:
                await self.on_spoken(self._spoken)

    async def transcribe(self, text: str) -> None:
        """Show what the user said, as the vendor echoes it."""
        if self.setting("echoUser", default=True):
            await self._partials("user", text)
            await self._send({"type": "text", "content": {"source": "user", "text": text}})

    async def _partials(self, source: str, text: str) -> None:
        """Send the partial texts that precede a final one, if they are wanted."""
        if not self.setting("partials", default=False):
            return
        number = next(self._final_texts)
        said = [(source, part) for part in partial_texts(text, number)]
        if (broken_off := abandoned(source, number)) is not None:
            said.insert(0, broken_off)
        for who, part in said:
            content = {"source": who, "text": part, "type": "potential"}
            await self._send({"type": "text", "content": content})

    async def hear(self) -> str:
        """Wait for the user's next text."""
        return await self._inbox.get()

    async def event(self, name: str, data: object = None) -> None:
        """Send an event."""
        await self._send({"type": "event", "name": name, "data": data})

    async def pause(self, turns: float = 1.0) -> None:
        """Wait as long as a person would: nothing in tests."""
        await asyncio.sleep(self.setting("pace", self._pace) * turns)

    async def tool(
        self, name: str, args: object, call_id: str | None = None, within: float | None = None
    ) -> object:
        """Ask for a tool and wait for its result; `UNANSWERED` after that many seconds."""
        call_id = call_id or f"call_{self.id[:8]}_{next(self._tool_ids)}"
        request = {"id": call_id, "toolName": name, "args": args}
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(call_id, []).append(answer)
        await self._send({"type": "toolCall", "content": request})
        await self._send({"type": "websocketToolRequest", "content": request})
        try:
            async with asyncio.timeout(within or self.setting("toolTimeout", self._tool_timeout)):
                result = await answer
        except TimeoutError:
            result = UNANSWERED
        outcome = {"id": call_id, "toolName": name, "result": result}
        await self._send({"type": "toolCallResult", "content": outcome})
        return result

    async def invite(self, sdp: str) -> str:
        """Offer a call and wait for the SDP answer."""
        field = self.setting("sdpField", self.variants.sdp_field)
        self._sdp_answer = asyncio.get_running_loop().create_future()
        await self._send({"type": "sdpInvite", "data": {field: sdp}})
        return await self._sdp_answer

    # What the socket's reader feeds in.

    async def user_said(self, text: str) -> None:
        """Take a text of the user; waits while the agent is far behind."""
        await self._inbox.put(text)

    def tool_answered(self, call_id: str, result: object) -> str | None:
        """Take a tool's result. Returns what is wrong with it: unasked, or answered twice."""
        asked = self._waiting.get(call_id)
        if asked is None:
            return "unsolicited tool response"
        answer = next((answer for answer in asked if not answer.done()), None)
        if answer is None:
            return "tool request answered twice, or too late"
        answer.set_result(result)
        return None

    def sdp_answered(self, sdp: str) -> str | None:
        """Take the SDP answer. Returns what is wrong with it: not invited, or answered twice."""
        if self._sdp_answer is None:
            return "sdpAnswer without sdpInvite"
        if self._sdp_answer.done():
            return "sdpInvite answered twice"
        self._sdp_answer.set_result(sdp)
        return None


def cut(turn: str, pieces: int) -> list[str]:
    """Cut a turn between its words into at most `pieces` pieces that join to the turn."""
    if pieces <= 1:
        return [turn]
    words = turn.split(" ")
    share = -(-len(words) // pieces)
    groups = [" ".join(words[i : i + share]) for i in range(0, len(words), share)]
    return [group + " " for group in groups[:-1]] + groups[-1:]
