"""`blackbox-relay replay`: runs the browser's side of a recorded chat again, and compares."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from contextlib import asynccontextmanager
from difflib import SequenceMatcher
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from app.cli.conversing.conversation import conversing
from app.cli.conversing.gateway import Gateway, GatewayFailed, base_url, chosen, variables
from app.cli.conversing.observed import UNSEEN, Closed, Text, ToolCall
from app.cli.local_gateway import KEY, local_gateway
from app.cli.scenarios.judge import SeenTurn, one_line
from app.cli.scenarios.recording import Recording, fetched
from app.cli.terminal import GREEN, RED, Style, printable
from app.network.loop import Loop
from app.protocol.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from app.cli.conversing.conversation import Conversation
    from app.cli.conversing.observed import Observed

SAME, DIFFERENT = 0, 1
AS_RECORDED: Final = 0.3
"""Seconds of silence after which a turn that went as recorded counts as over."""
HANG_UP_WITHIN: Final = 5.0
NOT_RECORDED: Final = {
    "error": {"code": "not_recorded", "message": "This tool was not asked for before."}
}

Line = tuple[str, str]
"""Who or what, and what of it: one line of a conversation."""


def run(arguments: argparse.Namespace, dotenv: Path) -> int:
    """Run the command; return its exit status. Raises `ConfigurationError`."""
    known = variables(dotenv)
    if not (arguments.settle > 0 and arguments.within > 0):
        raise ConfigurationError(["--settle and --within must be above 0"])
    with asyncio.Runner(loop_factory=Loop) as runner:
        try:
            return runner.run(_replay(arguments, known))
        except GatewayFailed as failed:
            print(f"error: {failed}", file=sys.stderr)
            return DIFFERENT


async def _replay(arguments: argparse.Namespace, known: Mapping[str, str]) -> int:
    source = chosen(arguments.url, known)
    if source.token is None:
        raise ConfigurationError(["RELAY_SERVICE_TOKENS is missing: history needs a bearer"])
    recording = await fetched(source, arguments.conversation)
    async with _target(arguments, known, source) as target:
        agent = arguments.agent or recording.agent
        data = recording.additional_data if arguments.same_data else {}
        credential = await target.ticket(agent, f"replay-{secrets.token_hex(8)}", data)
        async with conversing(target, agent, credential) as conversation:
            replayed = Replay(conversation, recording, arguments.settle, arguments.within)
            await replayed.play()
    before, now = recorded_lines(recording), replayed.lines
    told, same = compared(before, now, Style(sys.stdout))
    print("\n".join(told))
    print("no difference" if same else "the conversations differ: - recorded, + now")
    return SAME if same else DIFFERENT


@asynccontextmanager
async def _target(
    arguments: argparse.Namespace, known: Mapping[str, str], source: Gateway
) -> AsyncIterator[Gateway]:
    """The gateway to talk to: the emulator's, the one that `--against` names, or the same one."""
    if arguments.emulator:
        keyless = {name: value for name, value in known.items() if not name.startswith(KEY)}
        async with local_gateway(keyless) as gateway:
            yield gateway
    elif arguments.against is not None:
        yield Gateway(base_url(arguments.against), source.token)
    else:
        yield source


class Replay:
    """Says what the user said, and takes down what comes of it in `lines`.

    `settle` (seconds) is the silence after which an answer that differs counts as over, `within`
    how long any answer is waited for.
    """

    def __init__(
        self, conversation: Conversation, recording: Recording, settle: float, within: float
    ) -> None:
        self.lines: list[Line] = []
        self._conversation = conversation
        self._recording = recording
        self._settle = settle
        self._within = within
        self._closed: Closed | None = None
        self._answered: dict[str, int] = {}

    async def play(self) -> None:
        """Play all turns, or as many as the agent lets."""
        for turn in self._recording.turns:
            if self._closed is not None:
                break
            if turn.say is not None:
                self.lines.append(("user", one_line(turn.say)))
                await self._conversation.say(turn.say)
            expected = turn_lines(turn.said, turn.calls)
            self.lines += await self._turn(expected)
        await self._end()

    async def _turn(self, expected: list[Line]) -> list[Line]:
        seen, until = SeenTurn(), monotonic() + self._within
        said: list[Line] = []
        while self._closed is None:
            as_recorded = len(said) == len(expected) and all(map(alike, expected, said))
            wait = AS_RECORDED if as_recorded else self._settle if said else self._within
            happened = await self._next(min(wait, until - monotonic()))
            if happened is None:
                break
            seen.take(happened)
            calls = [{"name": c.name, "arguments": c.args} for c in seen.calls.values()]
            said = turn_lines([seen.said] if seen.said else [], calls)
        return said

    async def _next(self, seconds: float) -> Observed | None:
        """What happens next that is the agent's doing; None for nothing in so many seconds."""
        until = monotonic() + seconds
        while True:
            try:
                happened = await self._conversation.next(max(0.0, until - monotonic()))
            except TimeoutError:
                return None
            if isinstance(happened, Closed):
                self._closed = happened
            if isinstance(happened, ToolCall) and happened.for_client:
                await self._conversation.answer(happened.id, self._answer(happened.name))
            if isinstance(happened, Text | ToolCall | Closed):
                return happened

    def _answer(self, name: str) -> Any:
        """What the page answered then: of several calls of a tool the next one's answer."""
        answers = [call["result"] for call in self._recording.tools if call["name"] == name]
        if not answers:
            return NOT_RECORDED
        number = self._answered.get(name, 0)
        self._answered[name] = number + 1
        return answers[min(number, len(answers) - 1)]

    async def _end(self) -> None:
        """Wait for the end where the agent brought it, and bring it where the browser did."""
        recording, hung_up = self._recording, False
        if not recording.ended_by_client and recording.close_code is not None:
            await self._until_closed(self._within)
        if self._closed is None:
            hung_up = True
            await self._conversation.hang_up()
            await self._until_closed(HANG_UP_WITHIN)
        if self._closed is not None:
            self.lines.append(end_line(self._closed.code, by_client=hung_up))

    async def _until_closed(self, seconds: float) -> None:
        until = monotonic() + seconds
        while self._closed is None and await self._next(until - monotonic()) is not None:
            pass


def turn_lines(said: list[str], calls: list[dict[str, Any]]) -> list[Line]:
    """What the agent did in a turn: which tools it asked for, and what it said in all."""
    lines = [("tool", f"{call['name']} {_arguments(call['arguments'])}") for call in calls]
    return [*lines, ("agent", one_line(" ".join(said)))] if said else lines


def recorded_lines(recording: Recording) -> list[Line]:
    """The conversation as history has it."""
    lines: list[Line] = []
    for turn in recording.turns:
        if turn.say is not None:
            lines.append(("user", one_line(turn.say)))
        lines += turn_lines(turn.said, turn.calls)
    if recording.close_code is not None:
        lines.append(end_line(recording.close_code, by_client=recording.ended_by_client))
    return lines


def end_line(code: int, *, by_client: bool) -> Line:
    """How it ended."""
    return "end", f"{code}, by the {'client' if by_client else 'agent'}"


def alike(one: Line, other: Line) -> bool:
    """Tell whether two lines say the same; arguments that are not shown are not compared."""
    if one[0] != "tool" or other[0] != "tool":
        return one == other
    (name, _, args), (other_name, _, other_args) = (line[1].partition(" ") for line in (one, other))
    return name == other_name and (args == other_args or UNSEEN in {args, other_args})


def _arguments(args: Any) -> str:
    return UNSEEN if args == UNSEEN else json.dumps(args, ensure_ascii=False, sort_keys=True)


def compared(before: list[Line], now: list[Line], style: Style) -> tuple[list[str], bool]:
    """Both conversations in one, aligned, and whether they are the same.

    Marked are the lines that were recorded alone, and those that are now alone.
    """
    unseen = any(kind == "tool" and text.endswith(UNSEEN) for kind, text in now)
    keys = [[_key(line, args=not unseen) for line in lines] for lines in (before, now)]
    told: list[str] = []
    for kind, a, b, c, d in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_opcodes():
        if kind == "equal":
            told += [_shown("  ", line) for line in before[a:b]]
        else:
            told += [style(_shown("- ", line), RED) for line in before[a:b]]
            told += [style(_shown("+ ", line), GREEN) for line in now[c:d]]
    return told, keys[0] == keys[1]


def _key(line: Line, *, args: bool) -> Line:
    """What is compared of a line: of a tool its name alone, where arguments are not shown."""
    return line if args or line[0] != "tool" else (line[0], line[1].partition(" ")[0])


def _shown(mark: str, line: Line) -> str:
    return f"{mark}{line[0]:<5}  {printable(line[1])}"
