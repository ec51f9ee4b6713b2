"""Whether a turn went as expected: pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.cli.conversing.observed import UNSEEN, Text, ToolCall
from app.history.turn import join

if TYPE_CHECKING:
    from app.cli.conversing.observed import Closed, Observed
    from app.cli.scenarios.model import Ending, Expectation, ToolExpectation


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One expectation that does not hold, and what was there instead."""

    expected: str
    received: str


@dataclass(slots=True)
class SeenTurn:
    """What the agent has done so far in a turn."""

    said: str = ""
    calls: dict[str, ToolCall] = field(default_factory=dict)
    _paired: set[str] = field(default_factory=set)

    def take(self, seen: Observed) -> None:
        """Add what happened; what is not the agent's doing is left out."""
        if isinstance(seen, Text) and seen.final and seen.source != "user":
            self.said = join(self.said, seen.text)
        elif isinstance(seen, ToolCall):
            self._take_call(seen)

    def _take_call(self, call: ToolCall) -> None:
        """Add a call; one of the page's is also seen without id and arguments, and counts once."""
        if call.id in self._paired:
            return
        twin = next((other for other in self.calls.values() if self._are_one(call, other)), None)
        if twin is None:
            self.calls.setdefault(call.id, call)
            return
        whole = twin if call.args == UNSEEN else call
        self._paired |= {call.id, twin.id}
        self.calls = {
            whole.id if name == twin.id else name: whole if name == twin.id else each
            for name, each in self.calls.items()
        }

    def _are_one(self, call: ToolCall, other: ToolCall) -> bool:
        return (
            call.name == other.name
            and other.id not in self._paired
            and (call.args == UNSEEN) != (other.args == UNSEEN)
            and (call.for_client or other.for_client)
        )


def mismatches(expected: Expectation, seen: SeenTurn) -> list[Mismatch]:
    """What does not hold yet; nothing where the turn is as expected."""
    said = one_line(seen.said)
    received = quoted(said) if said else "nothing was said"
    found = [
        Mismatch(wanted, received) for wanted, holds in _about_text(expected, said) if not holds
    ]
    return found + [
        Mismatch(f"a call of {called(tool)}", _calls(tool, seen))
        for tool in expected.tool
        if not any(_fits(tool, call) for call in seen.calls.values())
    ]


def _about_text(expected: Expectation, said: str) -> list[tuple[str, bool]]:
    """Each expectation of the text, and whether it holds."""
    rules: list[tuple[str, bool]] = []
    if expected.text is not None:
        wanted = one_line(expected.text)
        rules.append((f"the text {quoted(wanted)}", said == wanted))
    rules += [
        (f"a text that contains {quoted(part)}", one_line(part) in said)
        for part in expected.contains
    ]
    rules += [
        (f"a text that matches /{pattern}/", re.search(pattern, said) is not None)
        for pattern in expected.matches
    ]
    rules += [
        (f"a text without {quoted(part)}", one_line(part) not in said) for part in expected.excludes
    ]
    if not expected.tool and not said and all(holds for _, holds in rules):
        rules.append(("a text", False))
    return rules


def _calls(tool: ToolExpectation, seen: SeenTurn) -> str:
    """What was called instead, those of the same name if there are any."""
    calls = list(seen.calls.values())
    same = [call for call in calls if call.name == tool.name]
    shown = [
        f"{call.name} {call.args if call.args == UNSEEN else compact(call.args)}"
        for call in same or calls
    ]
    return f"a call of {', '.join(shown)}" if shown else "no tool was called"


def _fits(tool: ToolExpectation, call: ToolCall) -> bool:
    return call.name == tool.name and has_arguments(tool.args, call.args)


def has_arguments(wanted: dict[str, Any] | None, args: Any) -> bool:
    """Tell whether arguments, or the JSON text of them, have all members that are wanted."""
    if wanted is None:
        return True
    if isinstance(args, str):
        try:
            args = json.loads(args)
        except ValueError:
            return False
    if not isinstance(args, dict):
        return not wanted
    return all(name in args and same_json(args[name], value) for name, value in wanted.items())


def same_json(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: `1` and `1.0` are, `1` and `true` are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)


def wrong_ending(
    expected: Ending, closed: Closed | None, status: str | None, *, by_client: bool
) -> list[Mismatch]:
    """What is wrong about an end; `closed` is None where the conversation goes on."""
    if closed is None:
        return [Mismatch(f"the end by the {expected.by}", "the conversation goes on")]
    found: list[Mismatch] = []
    if closed.code != expected.code:
        found.append(Mismatch(f"the close code {expected.code}", described(closed)))
    elif (expected.by == "client") is not by_client:
        other = "client" if by_client else "agent"
        found.append(Mismatch(f"the end by the {expected.by}", f"the {other} ended it"))
    if expected.status is not None and status != expected.status:
        said = "no conversationResult" if status is None else f"the status {quoted(status)}"
        found.append(Mismatch(f"the status {quoted(expected.status)}", said))
    return found


def described(closed: Closed) -> str:
    """A close code and its sentence."""
    return f"it was closed with {closed.code}: {closed.sentence}"


def one_line(text: str) -> str:
    """A text with every run of blanks and line ends as one blank."""
    return " ".join(text.split())


def quoted(text: str) -> str:
    """A text in quotes, with nothing that a terminal obeys."""
    return json.dumps(text, ensure_ascii=False)


def called(tool: ToolExpectation) -> str:
    """A tool as it should be called."""
    return tool.name if tool.args is None else f"{tool.name} with {compact(tool.args)}"


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False)
