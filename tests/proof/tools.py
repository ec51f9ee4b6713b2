"""Tools are called again and again, time out, crash, and browsers come and go meanwhile.

Each session is a real relay between sockets in memory. Ids are repeated within the 256 newest
answers, which a session remembers; an id that is older than those is a new one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from app.tools.interface import BadArgs, ToolError
from tests.proof.credentials import quiet
from tests.proof.parallel import spread
from tests.proof.report import Bound, Proof, Result
from tests.protocol.rules import answers, frame
from tests.relay.stage import Stage
from tests.support.waiting import until

if TYPE_CHECKING:
    from app.tools.interface import ToolContext

IDS: Final = 150  # of one session
WAYS: Final = ("ok",) * 10 + ("error", "crash", "refused", "hangs", "odd", "large")
BATCH: Final = 16
AT_ONCE: Final = 8  # sessions of one process: some wait for a time-out while others call


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
        self.answered: dict[str, set[bytes]] = {}
        self.read = [0, 0]  # of what the vendor was sent, and of the present browser's frames

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
        places = {request: place for place, request in enumerate(requests)}
        calls.sort(key=lambda request: places[request] + self.random.uniform(0, 12))
        while calls:
            batch, calls = calls[:BATCH], calls[BATCH:]
            for request in batch:
                self.asked[orjson.loads(request)["content"]["id"]] += 1
            self.stage.vendor.say(*batch)
            self._answer()
            if self.random.random() < 0.3:
                self._resume()
            await until(lambda: self.stage.relay.dispatcher.tools.running < 32, within=60)
        await until(lambda: len(self.answers()) == IDS, within=60)

    def answers(self) -> dict[str, set[bytes]]:
        """What was answered, by id."""
        sent, first = self.stage.vendor.sent, self.read[0]
        self.read[0] = len(sent)
        for payload in sent[first:]:
            told = orjson.loads(payload)
            if told["type"] == "websocketToolResponse":
                self.answered.setdefault(told["content"]["id"], set()).add(payload)
        return self.answered

    def _answer(self) -> None:
        """Let the page answer what it was asked, each once."""
        sent, first = self.browser.sent, self.read[1]
        self.read[1] = len(sent)
        for payload in sent[first:]:
            told = orjson.loads(payload)
            if (told.get("name") or told["type"]).startswith("relay."):
                continue
            self.numbered += 1
            if told["type"] == "websocketToolRequest" and told["content"]["id"] in self.shown:
                call_id = told["content"]["id"]
                if not self.effects.done[call_id]:
                    self.effects.done[call_id] += 1
                    self.browser.say(answers(call_id))

    def _resume(self) -> None:
        self._answer()
        self.browser.drop()
        self.read[1] = 0
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
    """Run some sessions at once until the bound, each by a seed of its own."""
    numbers = itertools.count()

    async def lane() -> None:
        while result.done.get("calls", 0) < bound.count and not bound.over():
            await _session(f"{bound.seed}.{next(numbers)}", result, tool())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(AT_ONCE, -(-bound.count // IDS))):
            tasks.create_task(lane())


async def _session(seed: str, result: Result, effects: Effects) -> None:
    options: dict[str, Any] = {
        "tool_concurrency": 8,
        "max_session": 600.0,
        "resume_buffer": 1 << 20,
    }
    async with Stage(gate=effects, **options) as stage:
        await stage.live()
        it = Conversation(stage, effects, Random(seed))  # noqa: S311 - to be had again
        try:
            await it.run()
        except AssertionError as error:
            result.lose(f"session {seed}: {error}")
        judge(it, result)


def _work(bound: Bound, result: Result) -> None:
    with quiet():
        asyncio.run(sessions(bound, result))


def run(bound: Bound) -> Result:
    """Call, in every processor's process."""
    result = Result(least=("calls", "repetitions", "resumes", "effects"))
    spread(_work, bound, result)
    return result


PROOF: Final = Proof(
    "tools",
    "a tool has its effect at most once for an id, and an id has one answer, whatever repeats, "
    "crashes, hangs or resumes",
    count=1_000_000,
    seconds=180,
    unit="calls",
    run=run,
)
