"""A browser that loses its socket and resumes, written from the contract's words alone.

It counts the frames of the session in both directions, those typed or named `relay.*` left out,
confirms now and then, and after a lost socket says how many it has, and sends the rest again.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NATIVE = "blackbox-relay.v1"
NUMBER = re.compile(r"#(\d+)")
CONFIRM_EVERY = 5
GIVE_UP = 90.0


@dataclass(slots=True)
class Story:
    """What became of one conversation, as its browser saw it.

    `heard` are the agent's numbers in their order, `echoed` its own as the agent showed them.
    `code` is how it ended: 1000, 4410, or any
    other close code that was no reason to resume. Times are of the monotonic clock.
    """

    marker: str
    session: str = ""
    token: str = ""
    code: int = 0
    error: dict[str, Any] = field(default_factory=dict)
    heard: list[int] = field(default_factory=list)
    echoed: list[int] = field(default_factory=list)
    connections: int = 0
    events: list[str] = field(default_factory=list)
    result: dict[str, Any] | None = None
    results: int = 0
    resumes: int = 0
    draining: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    refused_at: float = 0.0
    dialled_at: float = 0.0
    live_at: float = 0.0

    @property
    def whole(self) -> bool:
        """Ended by its own script: the agent's result and its announced end have come."""
        return self.code == 1000 and self.results == 1 and "closed" in self.events

    def wrong(self, count: int) -> list[str]:
        """What is not as it must be; `count` texts make a whole conversation."""
        found = list(self.faults)
        found += [
            f"saw {numbers}"
            for numbers in (self.heard, self.echoed)
            if numbers != list(range(1, len(numbers) + 1))
        ]
        if self.events.count("connection") > 1:
            found.append("two connection events")
        if self.whole:
            assert self.result is not None
            if len(self.heard) != count:
                found.append(f"heard {len(self.heard)} of {count}, and a normal end")
            if not self.result["user"]["ok"]:
                found.append(f"the agent heard {self.result['user']}")
            if self.result["toolErrors"]:
                found.append(f"tools failed: {self.result['toolErrors']}")
        elif self.code != 4410:
            found.append(f"ended with {self.code}, {self.error}, {self.events}")
        return [f"{self.marker}: {fault}" for fault in found]


class ResumingBrowser:
    """One conversation. `dial` gives the URL of a new one, with its credential; `base` that of
    the next socket. It keeps its last text back until `may_end` is set, if that is given.
    """

    def __init__(
        self,
        marker: str,
        base: Callable[[], str],
        dial: Callable[[], Awaitable[str]],
        *,
        texts: int,
        pace: float = 0.03,
        dice: random.Random | None = None,
        may_end: asyncio.Event | None = None,
    ) -> None:
        self.story = Story(marker)
        self.live = asyncio.Event()
        self.socket: ClientConnection | None = None
        self._base = base
        self._dial = dial
        self._texts = texts
        self._pace = pace
        self._may_end = may_end
        self._dice = dice or random.Random(marker)  # noqa: S311 - a test's dice
        self._received = 0
        self._confirmed = 0
        self._sent: list[str] = []
        self._arrived = 0
        self._answered: set[str] = set()
        self._ready = asyncio.Event()
        self._wait = 0.0
        self._said = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None

    async def run(self) -> Story:
        """Talk until the conversation ends for good."""
        async with asyncio.TaskGroup() as tasks:
            talking = tasks.create_task(self._talk())
            try:
                await self._stay()
            finally:
                talking.cancel()
        return self.story

    async def _stay(self) -> None:
        failing_since: float | None = None
        while not self.story.code:
            url = await self._url()
            established = await self._one_socket(url)
            now = time.monotonic()
            failing_since = None if established else (failing_since or now)
            if failing_since is not None and now - failing_since > GIVE_UP:
                self.story.faults.append("nobody let it in for too long")
                self.story.code = 1006
            await asyncio.sleep(self._wait or self._dice.uniform(0.01, 0.05))
            self._wait = 0.0

    async def _url(self) -> str:
        if not self.story.token:
            return await self._dial()
        attempt = time.time_ns() // 100_000
        query = f"resume={self.story.token}&received={self._received}&attempt={attempt}"
        return f"{self._base()}/ws?{query}"

    async def _one_socket(self, url: str) -> bool:
        """Use one socket up; True if the conversation began or went on by it."""
        story = self.story
        story.connections += 1
        story.dialled_at = time.monotonic()
        story.error = {}
        fresh = story.token == ""
        options: dict[str, Any] = {"compression": None, "ping_interval": None, "proxy": None}
        try:
            self.socket = await connect(
                url,
                subprotocols=[NATIVE],  # type: ignore[list-item]
                open_timeout=20,
                close_timeout=5,
                max_queue=None,
                origin=self._base().replace("ws", "http", 1),  # type: ignore[arg-type]
                **options,
            )
        except InvalidStatus as refused:
            story.codes.append(refused.response.status_code)
            return False
        except (OSError, WebSocketException, TimeoutError, EOFError):
            return False
        try:
            async for text in self.socket:
                assert isinstance(text, str)
                await self._frame(text, fresh=fresh)
        except (ConnectionClosed, OSError):
            pass  # how it was closed is looked at below
        finally:
            established = self._ready.is_set()
            self._ready.clear()
            if self._writing is not None:
                self._writing.cancel()
        closed = self.socket.protocol.close_rcvd
        self._over(1006 if closed is None else int(closed.code), established=established)
        await self.socket.close()
        return established

    def _over(self, code: int, *, established: bool) -> None:
        """Decide what the end of a socket means, by the close code and the error before it."""
        story = self.story
        story.codes.append(code)
        retry = story.error.get("retry")
        self._wait = float(story.error.get("retryAfter", 0))
        if code == 1006 or retry == "resume":
            return
        if not established and code not in {1000, 4410} and retry != "no":
            return  # refused for now: a conversation that exists may still be resumed
        story.code = code
        story.refused_at = time.monotonic()

    async def _frame(self, text: str, *, fresh: bool) -> None:
        frame = json.loads(text)
        name, story = str(frame.get("name", "")), self.story
        if frame["type"].startswith("relay.") or name.startswith("relay."):
            self._own(frame, name, fresh=fresh)
            return
        self._received += 1
        if self._received - self._confirmed >= CONFIRM_EVERY:
            self._confirmed = self._received
            await self._raw(json.dumps({"type": "relay.received", "count": self._received}))
        match frame["type"]:
            case "text":
                content = frame["content"]
                found = NUMBER.search(content["text"])
                heard = story.heard if content["source"] == "assistant" else story.echoed
                heard.append(int(found[1]) if found else -1)
            case "event":
                story.events.append(name)
            case "conversationResult":
                story.results += 1
                story.result = frame["result"]
            case "error":
                story.error = frame["data"]
            case "websocketToolRequest":
                self._tool(frame["content"])

    def _own(self, frame: dict[str, Any], name: str, *, fresh: bool) -> None:
        story, told = self.story, frame.get("data", {})
        match name:
            case "relay.session":
                if not fresh or story.session:
                    story.faults.append("a second relay.session")
                story.session, story.token = told["sessionId"], told["resume"]["token"]
                self._go(0)
            case "relay.resumed":
                if fresh:
                    story.faults.append("relay.resumed without a resume")
                story.resumes += 1
                if not self._arrived <= told["received"] <= len(self._sent):
                    story.faults.append(f"it has {told['received']} of my {len(self._sent)}")
                self._confirmed = self._received
                self._go(told["received"])
            case "relay.draining":
                story.draining.append(told["deadline"])
            case "relay.error":
                story.error = told

    def _go(self, arrived: int) -> None:
        """Frames after `arrived` are to be sent, again or for the first time."""
        self._arrived = arrived
        self.story.live_at = time.monotonic()
        self._ready.set()
        self.live.set()
        self._writing = asyncio.ensure_future(self._write_from(arrived))

    async def _write_from(self, number: int) -> None:
        """Send what was said after frame `number`, and what will be, over the present socket."""
        while True:
            self._said.clear()
            while number < len(self._sent):
                if not await self._raw(self._sent[number]):
                    return
                number += 1
            await self._said.wait()

    def _tool(self, request: dict[str, Any]) -> None:
        """Answer a tool's request once, however often it is shown."""
        if request["id"] not in self._answered:
            self._answered.add(request["id"])
            content = {"id": request["id"], "result": {"shown": request["args"]}}
            self._say({"type": "websocketToolResponse", "content": content})

    async def _talk(self) -> None:
        """Say the numbered texts, whether anybody is there or not."""
        await self.live.wait()
        for number in range(1, self._texts + 1):
            if number == self._texts and self._may_end is not None:
                await self._may_end.wait()
            self._say({"type": "incomingChatMessage", "content": f"#{number}"})
            await asyncio.sleep(self._dice.uniform(0, 2 * self._pace))

    def _say(self, frame: dict[str, Any]) -> None:
        """Number a frame and keep it; it is sent as soon as there is a socket."""
        self._sent.append(json.dumps(frame))
        self._said.set()

    async def _raw(self, text: str) -> bool:
        assert self.socket is not None
        try:
            await self.socket.send(text)
        except (ConnectionClosed, OSError):
            return False
        return True
