"""Plays a scenario against a gateway, and says what did not go as expected."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from app.cli.conversing.conversation import conversing
from app.cli.conversing.gateway import GatewayFailed
from app.cli.conversing.observed import UNSEEN, Closed, Result, ToolCall
from app.cli.scenarios.judge import (
    Mismatch,
    SeenTurn,
    described,
    mismatches,
    wrong_ending,
)
from app.cli.scenarios.mocks import answer_of
from app.cli.scenarios.model import Ending

if TYPE_CHECKING:
    from app.cli.conversing.conversation import Conversation
    from app.cli.conversing.gateway import Gateway
    from app.cli.conversing.observed import Observed
    from app.cli.scenarios.files import LoadedScenario
    from app.cli.scenarios.model import Scenario, Turn

HANG_UP_WITHIN: Final = 10.0
ABANDON_WITHIN: Final = 1.0
"""Seconds for the end of a conversation that has gone wrong already."""
NO_MOCK: Final = {
    "error": {"code": "not_mocked", "message": "This tool is not available in this test."}
}
ARGUMENTS_UNSEEN: Final = (
    "this service token may not see tools' arguments: use one that the gateway has in "
    "RELAY_CONTENT_TOKENS (a tenant's: content_tokens)"
)
UNFITTING: Final = {
    "error": {"code": "tool_error", "message": "The scenario has no answer for these arguments."}
}


@dataclass(frozen=True, slots=True)
class Difference:
    """What was not as expected: in which turn, counted from 1, on which line of the file."""

    where: str
    line: int
    say: str | None
    mismatch: Mismatch


@dataclass(slots=True)
class Run:
    """One run of a scenario. `notes` are for people who look for the cause of a difference."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def held(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


async def play(loaded: LoadedScenario, gateway: Gateway, subject: str) -> Run:
    """Play a scenario once, as `subject`; a gateway that fails is a difference, too."""
    run, begun = Run(), monotonic()
    scenario = loaded.scenario
    player = _Player(loaded, run)
    try:
        async with asyncio.timeout(scenario.time_limit):
            await _converse(player, gateway, subject)
    except GatewayFailed as failed:
        player.differs(Mismatch("a conversation", str(failed)))
    except TimeoutError:
        limit = f"the whole conversation within {scenario.time_limit:g} s"
        player.differs(Mismatch(limit, "it was not over by then"))
    run.seconds = monotonic() - begun
    return run


async def _converse(player: _Player, gateway: Gateway, subject: str) -> None:
    scenario = player.scenario
    credential = await gateway.ticket(scenario.agent, subject, scenario.additional_data)
    async with conversing(gateway, scenario.agent, credential) as conversation:
        player.conversation = conversation
        await player.play()


class _Player:
    """The state of one run."""

    def __init__(self, loaded: LoadedScenario, run: Run) -> None:
        self.scenario: Scenario = loaded.scenario
        self.conversation: Conversation | None = None
        self._loaded = loaded
        self._run = run
        self._turn = 0
        self._ending = False
        self._closed: Closed | None = None
        self._hung_up = False
        self._status: str | None = None

    def differs(self, mismatch: Mismatch) -> None:
        """Note a difference of the turn that is being played, or of the end."""
        turn = self._turn
        place: tuple[str | int, ...]
        if self._ending:
            where, place, say = f"the end, after turn {turn + 1}", ("ends",), None
        else:
            where, place = f"turn {turn + 1}", ("turns", turn)
            say = self.scenario.turns[turn].say
        line = self._loaded.line_of(*place)
        self._run.differences.append(Difference(where, line, say, mismatch))

    async def play(self) -> None:
        """Play turn after turn, to the first that is not as expected, then the end."""
        for number, turn in enumerate(self.scenario.turns):
            self._turn = number
            await self._play_turn(turn)
            if not self._run.held:
                await self._hang_up(ABANDON_WITHIN)
                return
        await self._end()

    async def _play_turn(self, turn: Turn) -> None:
        """Say what is to be said, and wait until all that is expected holds and is over."""
        assert self.conversation is not None  # noqa: S101 - set before
        if self._closed is not None:
            self.differs(Mismatch("a conversation that goes on", described(self._closed)))
            return
        if turn.say is not None:
            await self.conversation.say(turn.say)
        expected = turn.expect
        within = (expected.within if expected else None) or self.scenario.within
        until, seen = monotonic() + within, SeenTurn()
        missing = mismatches(expected, seen) if expected else []
        while self._closed is None:
            left = until - monotonic()
            wait = left if missing else min(left, self.scenario.settle)
            happened = await self._next(wait)
            if happened is None:
                break
            seen.take(happened)
            missing = mismatches(expected, seen) if expected else []
        over = "" if self._closed is None else f"; {described(self._closed)}"
        late = "" if over or expected is None else f" within {within:g} s"
        for mismatch in missing:
            self.differs(Mismatch(mismatch.expected, mismatch.received + (over or late)))
        if missing and any(call.args == UNSEEN for call in seen.calls.values()):
            self._run.notes.append(ARGUMENTS_UNSEEN)

    async def _next(self, seconds: float) -> Observed | None:
        """What happens next, None for nothing in so many seconds; tools are answered."""
        assert self.conversation is not None  # noqa: S101 - set before
        try:
            happened = await self.conversation.next(max(0.0, seconds))
        except TimeoutError:
            return None
        if isinstance(happened, Closed):
            self._closed = happened
        elif isinstance(happened, Result):
            self._status = happened.status
        elif isinstance(happened, ToolCall) and happened.for_client:
            await self._answer(happened)
        return happened

    async def _answer(self, call: ToolCall) -> None:
        """Answer a tool of the page's, as the scenario says."""
        assert self.conversation is not None  # noqa: S101 - set before
        mocks = self.scenario.mocks.get(call.name)
        if mocks is None:
            self._run.notes.append(f"the page's tool {call.name} has no mock: answered by an error")
            await self.conversation.answer(call.id, NO_MOCK)
            return
        mock = answer_of(mocks, call.args)
        if mock is not None and mock.delay:
            await asyncio.sleep(mock.delay)
        await self.conversation.answer(call.id, UNFITTING if mock is None else _result(mock))

    async def _end(self) -> None:
        """See how the conversation ends."""
        self._ending = True
        ends = self.scenario.ends
        if ends is None or ends.by == "client":
            await self._hang_up()
            ends = ends or Ending(by="client" if self._hung_up else "agent")
        else:
            until = monotonic() + (ends.within or self.scenario.within)
            while self._closed is None:
                happened = await self._next(until - monotonic())
                if happened is None:
                    break
        for mismatch in wrong_ending(ends, self._closed, self._status, by_client=self._hung_up):
            self.differs(mismatch)
        await self._hang_up(ABANDON_WITHIN)

    async def _hang_up(self, within: float = HANG_UP_WITHIN) -> None:
        """End what is not over, and wait for its end."""
        assert self.conversation is not None  # noqa: S101 - set before
        if self._closed is None:
            self._hung_up = True
            await self.conversation.hang_up()
        until = monotonic() + within
        while self._closed is None and await self._next(until - monotonic()) is not None:
            pass


def _result(mock: Any) -> Any:
    if mock.error is not None:
        return {"error": {"code": "tool_error", "message": mock.error}}
    return mock.result
