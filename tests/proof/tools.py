"""Tools are called again and again, time out, crash, and browsers come and go meanwhile.

Each session is a real relay between sockets in memory. Ids are repeated within the 256 newest
answers, which a session remembers; an id that is older than those is a new one.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final

from app.tools.interface import BadArgs, ToolError
from tests.proof.credentials import quiet
from tests.proof.report import Bound, Proof, Result
from tests.protocol.rules import answers, frame
from tests.relay.stage import Stage
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.tools.interface import ToolContext

IDS: Final = 150  # of one session
WAYS: Final = ("ok",) * 10 + ("error", "crash", "refused", "hangs", "odd", "large")
BATCH: Final = 16


class Effects:
    """A tool that does what its arguments say, and counts what it did for which id."""

    name = "look_up"
    description = "Looks up."
    parameters: dict[str, Any] = {}  # noqa: RUF012 - as the port says
    timeout: float | None = 0.02
    fallback_result = None
    origin = "test"

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    def checked(self, args: Any) -> Any:
        """Return the arguments."""
        return args

    async def call(self, args: Any, ctx: ToolContext) -> Any:
        """Have one effect, unless the arguments are refused."""
        way = args["way"]
        if way == "refused":
            raise BadArgs("way: refused")
        self.done[ctx.call_id] += 1
        match way:
            case "error":
                raise ToolError("It is closed.")
            case "crash":
                raise RuntimeError("a text that nobody sees")
            case "hangs":
                await asyncio.Event().wait()
            case "odd":
                return float("nan")
            case "large":
                return "x" * 300_000
        await asyncio.sleep(0)
        return {"number": args["number"]}


class Conversation:
    """One session's worth of calls."""

    def __init__(self, stage: Stage, effects: Effects, random: Random) -> None:
        self.stage = stage
        self.effects = effects
        self.random = random
        self.asked: Counter[str] = Counter()
        self.shown: set[str] = set()
        self.refused: set[str] = set()
        self.browser = stage.browser
        self.numbered = 0
        self.resumes = 0

    def ask(self, number: int) -> bytes:
        """One call by a new id: of the page's tool now and then."""
        call_id = f"call-{number}"
        page = self.random.random() < 0.1
        way = self.random.choice(WAYS)
        if page:
            self.shown.add(call_id)
        elif way == "refused":
            self.refused.add(call_id)
        content = {
            "id": call_id,
            "toolName": "show" if page else "look_up",
            "args": {"way": way, "number": number},
        }
        return frame("websocketToolRequest", channelId="c-1", content=content)

    async def run(self) -> None:
        """Ask, repeat, come and go, until every id has an answer."""
        requests = [self.ask(number) for number in range(IDS)]
        calls = [request for request in requests for _ in range(self.random.choice((1, 1, 2, 3)))]
        # Neighbours change places: a repetition comes at once, or while others run.
        calls.sort(key=lambda request: requests.index(request) + self.random.uniform(0, 12))
        while calls:
            batch, calls = calls[:BATCH], calls[BATCH:]
            for request in batch:
                self.asked[json.loads(request)["content"]["id"]] += 1
            self.stage.vendor.say(*batch)
            self._answer()
            if self.random.random() < 0.3:
                self._resume()
            await until(lambda: self.stage.relay.dispatcher.tools.running < 32, within=60)
        await until(lambda: len(self.answers()) == IDS, within=60)

    def answers(self) -> dict[str, set[bytes]]:
        """What was answered, by id."""
        found: dict[str, set[bytes]] = {}
        for payload in self.stage.vendor.sent:
            told = json.loads(payload)
            if told["type"] == "websocketToolResponse":
                found.setdefault(told["content"]["id"], set()).add(payload)
        return found

    def _answer(self) -> None:
        """Let the page answer what it was asked, each once."""
        for payload in self.browser.numbered:
            told = json.loads(payload)
            if told["type"] == "websocketToolRequest" and told["content"]["id"] in self.shown:
                call_id = told["content"]["id"]
                if not self.effects.done[call_id]:
                    self.effects.done[call_id] += 1
                    self.browser.say(answers(call_id))

    def _resume(self) -> None:
        self.numbered += len(self.browser.numbered)
        self.browser.drop()
        self.browser = self.stage.back(self.numbered)
        assert self.browser.ended is None, f"resume refused: {self.browser.ended}"
        self.resumes += 1
        self._answer()


def judge(it: Conversation, result: Result) -> None:
    """Hold a conversation against the promise."""
    found = it.answers()
    for call_id in it.asked:
        effects, told = it.effects.done[call_id], found.get(call_id, set())
        expected = 0 if call_id in it.refused else 1
        result.require(effects == expected, f"{call_id}: {effects} effects, not {expected}")
        result.require(len(told) == 1, f"{call_id}: {len(told)} different answers")
    result.add("calls", it.asked.total())
    result.add("ids", len(it.asked))
    result.add("repetitions", it.asked.total() - len(it.asked))
    result.add("sessions")
    result.add("resumes", it.resumes)
    result.add("effects", it.effects.done.total())


async def sessions(bound: Bound, result: Result, tool: type[Effects] = Effects) -> None:
    """Run sessions one after the other, each by a seed of its own."""
    number = 0
    while result.done.get("calls", 0) < bound.count and not bound.over():
        effects, random = tool(), Random(f"{bound.seed}.{number}")  # noqa: S311 - to be had again
        number += 1
        options: dict[str, Any] = {
            "tool_concurrency": 8,
            "max_session": 600.0,
            "resume_buffer": 1 << 20,
        }
        async with Stage(gate=effects, **options) as stage:
            await stage.live()
            it = Conversation(stage, effects, random)
            try:
                await it.run()
            except AssertionError as error:
                result.lose(f"session {number}: {error}")
            judge(it, result)


def run(bound: Bound) -> Result:
    """Call."""
    result = Result(least=("calls", "repetitions", "resumes", "effects"))
    with quiet():
        asyncio.run(sessions(bound, result))
    return result


PROOF: Final = Proof(
    "tools",
    "a tool has its effect at most once for an id, and an id has one answer, whatever repeats, "
    "crashes, hangs or resumes",
    count=1_000_000,
    seconds=900,
    unit="calls",
    run=run,
)
