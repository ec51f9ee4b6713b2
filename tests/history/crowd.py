"""Many real conversations at once, with numbered texts both ways, and what each must leave behind.

The agent is the emulator's `counter`, so the vendor knows by itself what it sent and what it heard.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.gateway import SERVICE_TOKEN
from tests.support.plain import plain_client
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tests.support.gateway import Emulator, Gateway

NUMBER = re.compile(r"#(\d+)")
ARRIVING = 32
"""Browsers that dial at once."""

ASKING = 4
"""Conversations that a backend asks for at once."""


@dataclass(frozen=True, slots=True)
class Script:
    """What every conversation of a crowd does: `texts` each way, `rate` of them a second.

    With every `tool_every`-th of the agent's texts a tool is called; each has `size` bytes.
    """

    texts: int = 40
    rate: float = 10.0
    size: int = 0
    tool_every: int = 8


@dataclass(slots=True)
class Talk:
    """One conversation as its browser saw it. Times are of the monotonic clock.

    `turns` are (source, text, pieces), folded here anew from the frames.
    """

    marker: str
    session: str = ""
    code: int = 0
    turns: list[tuple[str, str, int]] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    said: dict[int, float] = field(default_factory=dict)
    echoed: dict[int, float] = field(default_factory=dict)
    frames: Counter[str] = field(default_factory=Counter)

    def take(self, frame: dict[str, Any]) -> None:
        """Take a frame that came."""
        self.frames[frame["type"]] += 1
        if frame.get("name") == "relay.session":
            self.session = frame["data"]["sessionId"]
        elif frame["type"] == "text":
            self._spoken(frame["content"]["source"], frame["content"]["text"])

    def _spoken(self, source: str, text: str) -> None:
        (number,) = map(int, NUMBER.findall(text))
        if source == "user":
            self.echoed[number] = monotonic()
        else:
            self.heard.append(number)
        if self.turns and self.turns[-1][0] == source:
            _, before, pieces = self.turns.pop()
            self.turns.append((source, before + text, pieces + 1))
        else:
            self.turns.append((source, text, 1))


class Crowd:
    """`size` conversations at once: their agents begin to count when all browsers are there.

    Dialled by the vendor's own path, where the gateway waits for a browser's `initialize`. The
    browsers begin to talk when `may_talk` is set, and keep their last text until `may_end` is.
    """

    def __init__(self, gateway: Gateway, size: int, script: Script) -> None:
        self.script = script
        self.talks = [Talk(f"talk-{number}") for number in range(size)]
        self._gateway = gateway
        self._arriving = asyncio.Semaphore(ARRIVING)
        self._all_there = asyncio.Barrier(size)
        self.may_talk = asyncio.Event()
        self.may_end = asyncio.Event()

    @property
    def all_talk(self) -> bool:
        """Whether every conversation has begun, and none is over."""
        return all(talk.heard and not talk.code for talk in self.talks)

    @property
    def heard(self) -> int:
        """How many of the agents' texts have come, in all conversations."""
        return sum(len(talk.heard) for talk in self.talks)

    @property
    def part_heard(self) -> float:
        """Which part of them that is."""
        return self.heard / (self.script.texts * len(self.talks))

    async def run(self) -> None:
        """Hold all conversations, to their ends."""
        async with asyncio.TaskGroup() as tasks:
            for talk in self.talks:
                tasks.create_task(self._converse(talk))

    async def _converse(self, talk: Talk) -> None:
        script = self.script
        settings = {
            "marker": talk.marker,
            "count": script.texts,
            "rate": script.rate,
            "size": script.size,
            "expect": script.texts,
            "toolEvery": script.tool_every,
        }
        async with self._arriving:
            socket = await connect(
                f"{self._gateway.ws}/api/v1/ws/webCall",
                origin=self._gateway.base,  # type: ignore[arg-type]
                compression=None,
                max_queue=None,
                ping_interval=None,
                open_timeout=60,
                proxy=None,
            )
        async with socket, asyncio.TaskGroup() as tasks:
            await self._all_there.wait()
            async with self._arriving:
                request = {"callType": "chat", "additionalData": settings}
                await socket.send(json.dumps({"type": "initialize", "request": request}))
                talk.take(json.loads(await socket.recv()))
            talking = tasks.create_task(self._talk(talk, socket))
            try:
                async for text in socket:
                    talk.take(json.loads(text))
            except ConnectionClosed:
                pass
            talking.cancel()
        closed = socket.protocol.close_rcvd
        talk.code = 1006 if closed is None else int(closed.code)

    async def _talk(self, talk: Talk, socket: ClientConnection) -> None:
        await self.may_talk.wait()
        for number in range(1, self.script.texts + 1):
            if number == self.script.texts:
                await self.may_end.wait()
            talk.said[number] = monotonic()
            frame = {"type": "incomingChatMessage", "content": f"#{number}"}
            await socket.send(json.dumps(frame))
            await asyncio.sleep(1 / self.script.rate)

    def waited(self, began: float, ended: float) -> list[str]:
        """Texts said in the first half of that time and not echoed within it: who waits for the
        database is not answered before it is back.
        """
        half = (began + ended) / 2
        return [
            f"{talk.marker}: #{number}"
            for talk in self.talks
            for number, at in talk.said.items()
            if began <= at < half and talk.echoed.get(number, ended) >= ended
        ]

    def said_between(self, began: float, ended: float) -> int:
        """How many texts browsers said in that time."""
        return sum(began <= at < ended for talk in self.talks for at in talk.said.values())


@dataclass(slots=True)
class Seen:
    """What the vendor knows of one conversation."""

    sent: dict[str, int]
    said: list[str]
    result: dict[str, Any]

    @property
    def records(self) -> int:
        """How many records the recorder was given: a request for a tool is none, its end is one."""
        frames = sum(self.sent.values()) - self.sent.get("websocketToolRequest", 0)
        return frames + int(self.result["toolCalls"]) + len(("started", "ended"))


async def seen_by(vendor: Emulator, size: int) -> dict[str, Seen]:
    """Ask the vendor for all it knows, by marker, once that many conversations have ended there."""
    return {
        found["marker"]: Seen(
            found["sent"],
            [
                kept["frame"]["content"]
                for kept in found["received"]
                if kept["frame"]["type"] == "incomingChatMessage"
            ],
            found["result"],
        )
        for found in await vendor.over(size)
    }


def went_well(crowd: Crowd, vendor: Mapping[str, Seen]) -> list[str]:
    """Return what is wrong with the conversations themselves, whatever history kept of them."""
    wrong = []
    numbers = list(range(1, crowd.script.texts + 1))
    for talk in crowd.talks:
        seen = vendor[talk.marker]
        result = seen.result
        facts = {
            "ended well": talk.code == 1000 and talk.frames["conversationResult"] == 1,
            "no error": not talk.frames["error"],
            "heard every number": talk.heard == numbers,
            "was heard": seen.said == [f"#{number}" for number in numbers],
            "was echoed": list(talk.echoed) == numbers,
            "tools": result["toolCalls"] == crowd.script.texts // crowd.script.tool_every,
            "tools answered": result["toolErrors"] == [],
            "the vendor's count": (result["sent"], result["user"]["ok"]) == (len(numbers), True),
        }
        wrong += [f"{talk.marker}: {fact}" for fact, holds in facts.items() if not holds]
    return wrong


async def of_each(talks: Sequence[Talk], ask: Callable[[Talk], Awaitable[Any]]) -> list[Any]:
    """Ask something of every conversation, a few at a time."""
    gate = asyncio.Semaphore(ASKING)

    async def one(talk: Talk) -> Any:
        async with gate:
            return await ask(talk)

    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(one(talk)) for talk in talks]
    return [task.result() for task in asked]


class Backend:
    """Asks a gateway for what it kept, as a backend does."""

    def __init__(self, gateway: Gateway) -> None:
        headers = {"authorization": f"Bearer {SERVICE_TOKEN}"}
        self._client = plain_client(gateway.internal, timeout=60, headers=headers)

    async def get(self, session: str, what: str = "") -> dict[str, Any]:
        """Ask `/v1/conversations/{id}`, or something below it; a busy store is asked again."""
        path = f"/v1/conversations/{session}{what}"

        async def answered() -> dict[str, Any] | None:
            answer = await self._client.get(path)
            if answer.status_code == 503:
                return None
            assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
            found: dict[str, Any] = answer.json()
            return found

        kept: dict[str, Any] = await until(answered, within=60, every=0.5)
        return kept

    async def turns(self, talk: Talk) -> list[tuple[str, str, int]]:
        """Who said what, and in how many pieces."""
        page = await self.get(talk.session, "/transcript")
        assert page["next"] is None
        return [(turn["source"], turn["text"], turn["pieces"]) for turn in page["turns"]]

    async def aclose(self) -> None:
        """Let go of its connections."""
        await self._client.aclose()
